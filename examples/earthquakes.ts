/**
 * One week of earthquakes (1,707 events of the USGS, public domain, from the npm package vega-datasets) through a topic: tags by
 * magnitude, keys by event code, a group of three consumers of which one leaves half way. The result is checked against the file.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createClient } from '@skylarkmq/client'
import { fresh, openCluster } from './connect.ts'

type Quake = { id: string; properties: { mag: number | null; code: string } }
const data = join(createRequire(import.meta.url).resolve('vega-datasets'), '../../data/earthquakes.json')
const quakes = (JSON.parse(readFileSync(data, 'utf8')) as { features: Quake[] }).features
const tagOf = ({ properties: { mag } }: Quake) => (mag === null || mag < 2 ? 'weak' : mag < 4.5 ? 'felt' : 'strong')
const until = async (condition: () => boolean) => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20))
}
const { namesrvAddr, close } = await openCluster()
const [topic, group] = [fresh('earthquakes'), fresh('seismologists')]
const client = await createClient({ namesrvAddr })
const producer = client.producer({ group: 'usgs' })
const send = (list: Quake[]) =>
  producer.sendAll(list.map((quake) => ({ topic, body: JSON.stringify(quake), tags: tagOf(quake), keys: quake.properties.code })))
const half = quakes.length >> 1
await send(quakes.slice(0, half))

const seen = new Map<string, { text: string; tag: string | undefined }>()
const enrol = async (name: string) => {
  const own = await createClient({ namesrvAddr, instanceName: fresh(name) })
  const consumer = own.pushConsumer({
    group,
    subscriptions: { [topic]: '*' },
    consumeFrom: 'first',
    handler: (message) => void seen.set(message.json<Quake>().id, { text: message.text, tag: message.tags }),
  })
  await consumer.start()
  return { name, leave: () => own.close(), queues: () => consumer.queues.filter((queue) => queue.topic === topic).length }
}
const members = await Promise.all(['Inge', 'Charles', 'Beno'].map(enrol))
const shared = () => members.reduce((sum, member) => sum + member.queues(), 0) === 4
const shares = () => members.map((member) => `${member.name} (queues: ${member.queues()})`).join(', ')
await until(() => seen.size >= half && shared())
console.log(`${half} events consumed by ${shares()}`)

const leaver = members.shift()
await leaver?.leave()
await send(quakes.slice(half))
await until(() => seen.size === quakes.length && shared())
console.log(`${leaver?.name} left; the rest was consumed by ${shares()}`)

const wrong = quakes.filter((quake) => seen.get(quake.id)?.text !== JSON.stringify(quake) || seen.get(quake.id)?.tag !== tagOf(quake))
const count = (tag: string) => [...seen.values()].filter((event) => event.tag === tag).length
console.log(
  `${seen.size} events: ${count('weak')} weak, ${count('felt')} felt, ${count('strong')} strong; ${wrong.length} differ from the file`,
)
for (const member of members) await member.leave()
await client.close()
await close()
process.exitCode = wrong.length === 0 ? 0 : 1
