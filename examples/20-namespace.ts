/** Namespaces: two teams use the same names on one cluster and never meet. For RocketMQ's clients and tools the topic is `red%orders`. */
import { createClient } from '@skylarkmq/client'
import { fresh, namesrvAddr } from './connect.ts'

const [topic, red, blue] = [fresh('orders'), fresh('red'), fresh('blue')]
const seen = await Promise.all(
  [red, blue].map(async (namespace) => {
    await using client = await createClient({ namesrvAddr, namespace })
    const { queue } = await client.producer({ group: 'writers' }).send({ topic, body: `of ${namespace.split('-')[0]}` })
    const consumer = client.pullConsumer({ group: 'readers', consumeFrom: 'first' })
    await consumer.assign([queue])
    const [message] = await consumer.poll()
    return `${message?.text}, topic ${message?.topic === topic ? 'orders' : message?.topic}`
  }),
)
console.log(seen.join('\n'))

await using client = await createClient({ namesrvAddr })
const topics = await client.admin().topics.list()
console.log(
  [red, blue].every((namespace) => topics.includes(`${namespace}%${topic}`)) ? 'two topics for the broker' : `one topic: ${topics}`,
)
