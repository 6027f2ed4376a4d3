/** Scheduled messages: any delay or moment, up to a year and more; until then a message can be taken back. */
import { createClient, RocketError } from '@skylarkmq/client'
import { fresh, namesrvAddr } from './connect.ts'

await using client = await createClient({ namesrvAddr })
const topic = fresh('offers')
const producer = client.producer({ group: 'example-producers' })
const consumer = client.pushConsumer({ group: fresh('customers'), subscriptions: { [topic]: '*' }, consumeFrom: 'first' })

const inAYear = new Date(Date.now() + 365 * 24 * 3_600_000)
const birthday = await producer.send({ topic, body: 'happy birthday', deliverAt: inAYear })
const soon = new Date(Date.now() + 2_500)
await producer.send({ topic, body: 'the sale begins', deliverAt: soon })
const mistake = await producer.send({ topic, body: 'everything is free', delayMs: 2_000 })

await producer.recall(mistake)
console.log('taken back: everything is free')
// Another process needs only the topic and the handle.
await producer.recall(topic, birthday.recallHandle ?? '')
console.log('taken back: happy birthday')

for await (const message of consumer.messages()) {
  console.log(`delivered: ${message.text}, ${Date.now() >= soon.getTime() ? 'at its time' : 'too early'}`)
  break
}
await consumer.close()

const late = await producer.send({ topic, body: 'too late', delayMs: 100 })
await new Promise((resolve) => setTimeout(resolve, 1_500))
await producer.recall(late).catch((error: unknown) => {
  if (!(error instanceof RocketError)) throw error
  console.log(error.message)
})
