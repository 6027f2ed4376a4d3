/** Transactions: a message is delivered if, and only if, your own work succeeded; also when the process dies in between. */
import { createClient } from '@skylarkmq/client'
import { fresh, namesrvAddr } from './connect.ts'

await using client = await createClient({ namesrvAddr })
const topic = fresh('payments')
const paid = new Set<string>()

const producer = client.producer({
  group: fresh('cashiers'),
  // Asked when the broker has not heard how a transaction ended: the database knows.
  onCheck: (message) => (paid.has(message.text) ? 'commit' : 'rollback'),
})

const seen: string[] = []
await using consumer = client.pushConsumer({
  group: fresh('accounting'),
  subscriptions: { [topic]: '*' },
  consumeFrom: 'first',
  handler: (message) => {
    seen.push(message.text)
  },
})
await producer.send({ topic, body: 'the till is open' })
await consumer.start()

for (const [order, amount] of [
  ['order 1', 20],
  ['order 2', -5],
  ['order 3', 70],
] as const) {
  const { outcome } = await producer.sendInTransaction({ topic, body: order }, () => {
    // Your work: within a database transaction, say.
    if (amount <= 0) return 'rollback'
    paid.add(order)
    return 'commit'
  })
  console.log(`${order}: ${outcome}`)
}
while (seen.length < 3) await new Promise((resolve) => setTimeout(resolve, 50))
console.log(`delivered: ${seen.sort().join(', ')}`)
