/** Work that takes longer than consumeTimeoutMs: a handler that says it is still at it keeps its message; a silent one loses it. */
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from '@skylarkmq/client'
import { fresh, namesrvAddr } from './connect.ts'

await using client = await createClient({ namesrvAddr })
const topic = fresh('films')
await client.producer({ group: 'example-producers' }).send({ topic, body: 'Metropolis' })

let attempts = 0
const encoded = new Promise<void>((resolve, reject) => {
  const consumer = client.pushConsumer({
    group: fresh('encoders'),
    subscriptions: { [topic]: '*' },
    consumeFrom: 'first',
    // Minutes in real life: 15 when nothing is set.
    consumeTimeoutMs: 4000,
    handler: async (message, { deadline, extend, signal }) => {
      attempts++
      console.log(`encoding ${message.text}, ${deadline ? 'with' : 'without'} a deadline`)
      for (let part = 1; part <= 4 && !signal.aborted; part++) {
        await sleep(1200)
        // Four seconds more from now on. It rejects when the message has been given to somebody else meanwhile.
        await extend()
      }
      resolve()
    },
  })
  consumer.start().catch(reject)
})
await encoded
console.log(`encoded at attempt ${attempts}`)
