/** Typed messages: a validator of any library that speaks Standard Schema (Zod, Valibot, ArkType …) stands before the handler. */
import type { StandardSchema } from '@skylarkmq/client'
import { createClient } from '@skylarkmq/client'
import { fresh, namesrvAddr } from './connect.ts'

type Order = { id: string; total: number }
// With Zod: const Order = z.object({ id: z.string(), total: z.number() })
const Order: StandardSchema<Order> = {
  '~standard': {
    version: 1,
    vendor: 'by-hand',
    validate: (value) => {
      const order = value as Partial<Order> | null
      if (typeof order?.total === 'number' && typeof order.id === 'string') return { value: { id: order.id, total: order.total } }
      return { issues: [{ message: `must be a number, found ${typeof order?.total}`, path: ['total'] }] }
    },
  },
}

await using client = await createClient({ namesrvAddr })
const topic = fresh('orders')
const producer = client.producer({ group: 'example-producers' })
for (const order of [
  { id: 'a', total: 12.5 },
  { id: 'b', total: 'a lot' },
  { id: 'c', total: 7.5 },
])
  await producer.send({ topic, body: JSON.stringify(order) })

let sum = 0
let count = 0
const group = fresh('accountants')
const consumer = client.pushConsumer({
  group,
  subscriptions: { [topic]: '*' },
  consumeFrom: 'first',
  schema: Order,
  // 'deadLetter' is the default; 'skip', 'retry', or a function that decides for each message.
  onInvalid: (message, error) => {
    console.log(`to the dead letters: ${message.text} (${error.issues[0]?.message})`)
    count++
    return 'deadLetter'
  },
  handler: ({ value }) => {
    sum += value.total // a number, says the compiler
    count++
  },
})
await consumer.start()
while (count < 3) await new Promise((resolve) => setTimeout(resolve, 20))
console.log(`the valid orders make ${sum}`)
