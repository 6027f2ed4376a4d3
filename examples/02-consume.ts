/** Receive messages as they come: a handler that returns has consumed the message, one that throws gets it again later. */
import { createClient } from '@skylarkmq/client'
import { fresh, namesrvAddr } from './connect.ts'

await using client = await createClient({ namesrvAddr })
const topic = fresh('letters')
const producer = client.producer({ group: 'example-producers' })
await producer.sendAll(['a', 'b', 'c'].map((body) => ({ topic, body, tags: body === 'b' ? 'dull' : 'nice' })))

const received = Promise.withResolvers ? Promise.withResolvers<void>() : withResolvers()
const texts: string[] = []
const consumer = client.pushConsumer({
  group: fresh('readers'),
  subscriptions: { [topic]: 'nice || splendid' },
  consumeFrom: 'first',
  handler: (message) => {
    texts.push(message.text)
    if (texts.length === 2) received.resolve()
  },
})
await consumer.start()
await received.promise
console.log(`received ${texts.sort().join(' and ')}; the dull one stayed where it is`)
await consumer.close()

function withResolvers() {
  let resolve = () => {}
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}
