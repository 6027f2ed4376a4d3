/** A queue that stands still is reported once, with the reason, and once more when it moves again: nothing to poll, no flood of lines. */
import { createClient } from '@skylarkmq/client'
import { fresh, namesrvAddr } from './connect.ts'

await using client = await createClient({ namesrvAddr })
const topic = fresh('parcels')
await client.producer({ group: 'example-producers' }).send({ topic, body: 'a parcel' })

let open = () => {}
const door = new Promise<void>((resolve) => {
  open = resolve
})
const consumer = client.pushConsumer({
  group: fresh('porters'),
  subscriptions: { [topic]: '*' },
  consumeFrom: 'first',
  // Two minutes when nothing is set.
  stalledAfterMs: 400,
  handler: () => door,
})
consumer.events.on('stalled', ({ reason, offset, cachedMessages }) => {
  console.log(`stalled by the ${reason} at offset ${offset}, ${cachedMessages} message waits`)
  open()
})
const recovered = new Promise<void>((resolve) => consumer.events.on('recovered', () => resolve()))
await consumer.start()
await recovered
console.log('moving again')
await consumer.close()
