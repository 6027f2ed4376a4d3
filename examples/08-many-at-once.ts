/** A loop with bounded concurrency: at most eight messages are in hand, each is settled by its own worker. */
import { createClient } from '@skylarkmq/client'
import { fresh, namesrvAddr } from './connect.ts'

await using client = await createClient({ namesrvAddr })
const topic = fresh('images')
const producer = client.producer({ group: 'example-producers' })
await producer.sendAll(Array.from({ length: 40 }, (_, i) => ({ topic, body: `image ${i}` })))

const consumer = client.pushConsumer({ group: fresh('resizers'), subscriptions: { [topic]: '*' }, consumeFrom: 'first' })
const enough = new AbortController()
let inHand = 0
let most = 0
let done = 0
for await (const message of consumer.messages({ concurrency: 8, ack: 'explicit', signal: enough.signal })) {
  most = Math.max(most, ++inHand)
  setTimeout(() => {
    message.ack()
    inHand--
    if (++done === 40) enough.abort()
  }, 5)
}
console.log(`resized ${done} images, ${most <= 8 ? 'never more than 8 at a time' : `but ${most} at a time`}`)
await consumer.close()
