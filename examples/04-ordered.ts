/** Order per key: messages of one key go to one queue, and an orderly consumer takes a queue's messages one after the other. */
import { createClient } from '@skylarkmq/client'
import { fresh, namesrvAddr } from './connect.ts'

await using client = await createClient({ namesrvAddr })
const topic = fresh('accounts')
const producer = client.producer({ group: 'example-producers' })
const steps = ['open', 'deposit', 'withdraw', 'close']
for (const step of steps) {
  for (const account of ['anna', 'ben', 'chris']) await producer.send({ topic, body: `${account} ${step}`, orderKey: account })
}

const history = new Map<string, string[]>()
const consumer = client.pushConsumer({ group: fresh('ledger'), subscriptions: { [topic]: '*' }, orderly: true, consumeFrom: 'first' })
let count = 0
for await (const message of consumer.messages()) {
  const [account = '', step = ''] = message.text.split(' ')
  history.set(account, [...(history.get(account) ?? []), step])
  if (++count === 12) break
}
for (const [account, seen] of [...history].sort()) console.log(`${account}: ${seen.join(', ')}`)
await consumer.close()
