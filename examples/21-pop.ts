/** POP: members of a group share messages, not queues. Each message is ours for a time; what is not settled in it comes to somebody else. */
import { createClient } from '@skylarkmq/client'
import { fresh, namesrvAddr } from './connect.ts'

await using client = await createClient({ namesrvAddr })
const topic = fresh('letters')
const producer = client.producer({ group: 'example-producers' })
await Promise.all(Array.from({ length: 30 }, (_, i) => producer.send({ topic, body: `letter ${i}` })))

const options = {
  group: fresh('postmen'),
  subscriptions: { [topic]: '*' },
  consumeFrom: 'first',
  delivery: 'pop',
  // A minute when nothing is set.
  invisibleMs: 3000,
} as const

// He takes some letters and falls asleep: they are his for three seconds, and nothing else waits for him.
const sleeper = client.pushConsumer({
  ...options,
  handler: (_, { signal }) => {
    sleeper.pause()
    return new Promise((resolve) => signal.addEventListener('abort', resolve))
  },
})
await sleeper.start()

const attempts = new Map<string, number>()
const anna = client.pushConsumer({
  ...options,
  handler: (letter) => {
    attempts.set(letter.text, letter.reconsumeTimes)
    if (attempts.size === 30) everything()
  },
})
let everything = () => {}
const delivered = new Promise<void>((resolve) => (everything = resolve))
await anna.start()
await delivered
const again = [...attempts.values()].filter((times) => times > 0).length
console.log(`Anna delivered ${attempts.size} letters; ${again > 0 ? 'some' : 'none'} had been with somebody else before`)
