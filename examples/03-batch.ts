/** Many messages in few requests: receipts come in the order of the messages. */
import { createClient } from '@skylarkmq/client'
import { fresh, namesrvAddr } from './connect.ts'

await using client = await createClient({ namesrvAddr })
const producer = client.producer({ group: 'example-producers' })
const topic = fresh('measurements')

const messages = Array.from({ length: 1000 }, (_, i) => ({ topic, body: JSON.stringify({ sensor: i % 10, value: Math.sin(i) }) }))
const receipts = await producer.sendAll(messages)
const queues = new Set(receipts.map((receipt) => receipt.queue.queueId))
console.log(`stored ${receipts.length} messages in ${queues.size} queue${queues.size === 1 ? '' : 's'}`)
