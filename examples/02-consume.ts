/** Receive messages as they come: a handler that returns has consumed the message, one that throws gets it again later. */
import { createClient } from '@skylarkmq/client'
import { fresh, namesrvAddr } from './connect.ts'

await using client = await createClient({ namesrvAddr })
const topic = fresh('letters')
const producer = client.producer({ group: 'example-producers' })
await producer.sendAll(['a', 'b', 'c'].map((body) => ({ topic, body, tags: body === 'b' ? 'dull' : 'nice' })))

const texts: string[] = []
await new Promise<void>((resolve, reject) => {
  const consumer = client.pushConsumer({
    group: fresh('readers'),
    subscriptions: { [topic]: 'nice || splendid' },
    consumeFrom: 'first',
    handler: (message) => {
      texts.push(message.text)
      if (texts.length === 2) resolve()
    },
  })
  consumer.start().catch(reject)
})
console.log(`received ${texts.sort().join(' and ')}; the dull one stayed where it is`)
// Leaving the block closes the client, and with it the consumer: what was consumed is committed first.
