/** A message that cannot be handled is tried again, then put aside: the dead letters of a group are a topic like any other. */
import { createClient } from '@skylarkmq/client'
import { fresh, namesrvAddr } from './connect.ts'

await using client = await createClient({ namesrvAddr })
const topic = fresh('payments')
const group = fresh('cashiers')
const producer = client.producer({ group: 'example-producers' })
await producer.send({ topic, body: 'a broken payment' })

const consumer = client.pushConsumer({
  group,
  subscriptions: { [topic]: '*' },
  consumeFrom: 'first',
  maxReconsumeTimes: 1,
  handler: (message) => {
    console.log(`attempt ${message.reconsumeTimes + 1} at "${message.text}" fails`)
    message.retry({ delayLevel: 1 })
  },
})
await consumer.start()

await using dead = client.pullConsumer({ group: fresh('undertakers') })
const queue = { topic: `%DLQ%${group}`, brokerName: 'broker-a', queueId: 0 }
for (;;) {
  try {
    await dead.assign([queue])
    await dead.seek(queue, 0)
    const [letter] = await dead.poll({ max: 1, timeoutMs: 1000 })
    if (letter) {
      console.log(`dead letter: "${letter.text}"`)
      break
    }
  } catch {
    // The topic appears with the first dead letter.
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}
await consumer.close()
