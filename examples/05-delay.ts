/** Delayed messages: delay level 1 is one second (1s 5s 10s 30s 1m … 2h are levels 1 to 18). */
import { createClient } from '@skylarkmq/client'
import { fresh, namesrvAddr } from './connect.ts'

await using client = await createClient({ namesrvAddr })
const topic = fresh('reminders')
const producer = client.producer({ group: 'example-producers' })
const consumer = client.pushConsumer({ group: fresh('sleepers'), subscriptions: { [topic]: '*' }, consumeFrom: 'first' })

const sentAt = Date.now()
await producer.send({ topic, body: 'wake up', delayLevel: 1 })
for await (const message of consumer.messages()) {
  const waited = Date.now() - sentAt
  console.log(`"${message.text}" came ${waited >= 900 ? 'after about a second' : `too early: ${waited} ms`}`)
  break
}
await consumer.close()
