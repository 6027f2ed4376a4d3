/** "Where is my order?" With messageTrace, clients write what happens to messages into a topic that RocketMQ's tools read as well. */
import { createClient } from '@skylarkmq/client'
import { fresh, namesrvAddr } from './connect.ts'

await using client = await createClient({ namesrvAddr })
const topic = fresh('orders')
const producer = client.producer({ group: 'shop', messageTrace: true })
const { messageId } = await producer.send({ topic, body: 'a book', keys: 'order-1' })

const consumer = client.pushConsumer({
  group: 'office',
  subscriptions: { [topic]: '*' },
  consumeFrom: 'first',
  messageTrace: true,
  handler: (message) => {
    if (message.reconsumeTimes === 0) message.retry({ delayLevel: 1 })
  },
})
await consumer.start()

// The same as `mqadmin queryMsgTraceById -i <messageId>`.
const admin = client.admin()
let events = await admin.messages.trace(messageId).catch(() => [])
while (events.length < 5) {
  await new Promise((resolve) => setTimeout(resolve, 200))
  events = await admin.messages.trace(messageId).catch(() => [])
}
for (const event of events) {
  if (event.type === 'sent') console.log(`sent by ${event.group}: ${event.isSuccess}`)
  if (event.type === 'consumeBegin') console.log(`with ${event.group}, attempt ${event.retryTimes + 1}`)
  if (event.type === 'consumeEnd') console.log(event.result)
}
await consumer.close()
