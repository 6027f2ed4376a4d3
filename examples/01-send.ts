/** Send messages: one that is waited for, one with tag, keys and properties, one that nobody waits for. */
import { createClient } from '@skylarkmq/client'
import { fresh, namesrvAddr } from './connect.ts'

await using client = await createClient({ namesrvAddr })
const producer = client.producer({ group: 'example-producers' })
const topic = fresh('orders')

const receipt = await producer.send({ topic, body: 'Hello' })
console.log(`stored at offset ${receipt.queueOffset} of queue ${receipt.queue.queueId}: ${receipt.messageId}`)

await producer.send({
  topic,
  body: JSON.stringify({ id: 4711, total: 99.5 }),
  tags: 'paid',
  keys: ['order-4711'],
  properties: { region: 'north' },
})
console.log('stored a message with a tag, a key and a property')

await producer.sendOneway({ topic, body: 'nobody says whether this arrived' })
console.log('sent one without waiting')
