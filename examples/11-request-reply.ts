/** Request and reply: send a question, and wait for the answer of whoever consumes it. */
import { createClient } from '@skylarkmq/client'
import { fresh, namesrvAddr } from './connect.ts'

// Two clients, as in two processes: one asks, one answers.
await using asking = await createClient({ namesrvAddr })
await using answering = await createClient({ namesrvAddr })
const topic = fresh('sums')

const answers = answering.producer({ group: fresh('calculators') })
await using calculator = answering.pushConsumer({
  group: fresh('calculators'),
  subscriptions: { [topic]: '*' },
  consumeFrom: 'first',
  handler: async (message) => {
    const { a, b } = message.json<{ a: number; b: number }>()
    await answers.reply(message, JSON.stringify(a + b))
  },
})
await calculator.start()

const questions = asking.producer({ group: fresh('pupils') })
for (const [a, b] of [
  [2, 3],
  [40, 2],
] as const) {
  const reply = await questions.request({ topic, body: JSON.stringify({ a, b }) }, { timeoutMs: 10_000 })
  console.log(`${a} + ${b} = ${reply.json<number>()}`)
}
