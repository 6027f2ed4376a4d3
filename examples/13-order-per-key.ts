/** Order per key and many keys at once: a loop that has up to ten messages in hand, never two of one customer. */
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from '@skylarkmq/client'
import { fresh, namesrvAddr } from './connect.ts'

await using client = await createClient({ namesrvAddr })
const topic = fresh('customers')
const producer = client.producer({ group: 'example-producers' })
const customers = ['anna', 'ben', 'chris', 'dora', 'emil']
for (const step of ['ordered', 'paid', 'received']) {
  for (const customer of customers) await producer.send({ topic, body: `${customer} ${step}`, orderKey: customer })
}

const consumer = client.pushConsumer({
  group: fresh('shop'),
  subscriptions: { [topic]: '*' },
  consumeFrom: 'first',
  // A failed message would hold up its customer only, until it succeeds or goes to the dead letters.
  orderBy: 'orderKey',
})
const done = new AbortController()
const history = new Map<string, string[]>()
const atWork = new Set<string>()
let most = 0
let count = 0
for await (const message of consumer.messages({ concurrency: 10, ack: 'explicit', signal: done.signal })) {
  const [customer = '', step = ''] = message.text.split(' ')
  if (atWork.has(customer)) throw new Error(`two messages of ${customer} at once`)
  most = Math.max(most, atWork.add(customer).size)
  // Not awaited: the loop goes on to the next customer while this one is at work.
  void sleep(20).then(() => {
    history.set(customer, [...(history.get(customer) ?? []), step])
    atWork.delete(customer)
    message.ack()
    if (++count === 15) done.abort()
  })
}
await consumer.close()
console.log(most > 1 ? 'several customers at once' : 'one customer at a time')
for (const [customer, steps] of [...history].sort()) console.log(`${customer}: ${steps.join(', ')}`)
