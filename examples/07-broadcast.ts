/** Broadcast: every member of the group gets every message, and keeps its own place in a file. */
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from '@skylarkmq/client'
import { fresh, namesrvAddr } from './connect.ts'

const topic = fresh('config-changes')
const group = fresh('caches')
await using client = await createClient({ namesrvAddr })
const producer = client.producer({ group: 'example-producers' })
await producer.send({ topic, body: 'the topic exists' })

const seen = await Promise.all(
  ['left', 'right'].map(async (name) => {
    await using member = await createClient({ namesrvAddr, instanceName: fresh(name) })
    const offsetFolder = join(tmpdir(), fresh('offsets'))
    const consumer = member.pushConsumer({
      group,
      subscriptions: { [topic]: '*' },
      model: 'broadcasting',
      consumeFrom: 'first',
      offsetFolder,
    })
    let got = 'nothing'
    for await (const message of consumer.messages()) {
      got = message.text
      break
    }
    await consumer.close()
    return `${name} got "${got}"`
  }),
)
console.log(seen.join('\n'))
