/** Pull: the application decides when and from where it reads, and commits by itself. */
import { createClient } from '@skylarkmq/client'
import { fresh, namesrvAddr } from './connect.ts'

await using client = await createClient({ namesrvAddr })
const topic = fresh('audit')
const producer = client.producer({ group: 'example-producers' })
const { queue } = await producer.send({ topic, body: 'first' })
for (const body of ['second', 'third']) await producer.send({ topic, body }, { queue })

await using consumer = client.pullConsumer({ group: fresh('auditors'), autoCommit: false })
await consumer.assign([queue])
await consumer.seek(queue, 0)
const texts: string[] = []
while (texts.length < 3) for (const message of await consumer.poll({ timeoutMs: 2000 })) texts.push(message.text)
await consumer.commit()
console.log(`read ${texts.join(', ')}`)
