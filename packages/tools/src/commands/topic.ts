import { flag, number, required, text, TOPIC, WHERE, where } from '../options.ts'
import type { CliCommand } from '../types.ts'

const permission = (perm: number): string => `${perm & 4 ? 'R' : '-'}${perm & 2 ? 'W' : '-'}${perm & 1 ? 'X' : '-'}`
const when = (ms: number): string => (ms > 0 ? new Date(ms).toISOString() : '')

export const topicList: CliCommand = {
  noun: 'topic',
  verb: 'list',
  alias: 'topicList',
  summary: 'The names of all topics',
  options: [{ flags: '-c, --cluster <cluster>', meaning: 'only topics of this cluster' }],
  async run({ admin, options }) {
    const topics = [...(await admin.topics.list(text(options, 'cluster')))].sort()
    return { value: topics, tables: [{ columns: ['topic'], rows: topics.map((topic) => [topic]) }] }
  },
}

export const topicRoute: CliCommand = {
  noun: 'topic',
  verb: 'route',
  alias: 'topicRoute',
  summary: 'Which brokers hold which queues of a topic: what a client is told',
  options: [TOPIC],
  async run({ admin, options }) {
    const route = await admin.topics.route(required(options, 'topic'))
    const brokers = new Map(route.brokerDatas.map((broker) => [broker.brokerName, broker]))
    const rows = route.queueDatas.map((queue) => {
      const broker = brokers.get(queue.brokerName)
      const addresses = Object.entries(broker?.brokerAddrs ?? {}).map(([id, address]) => `${id}: ${address}`)
      return [
        broker?.cluster ?? '',
        queue.brokerName,
        addresses.join(', '),
        queue.readQueueNums,
        queue.writeQueueNums,
        permission(queue.perm),
      ]
    })
    return { value: route, tables: [{ columns: ['cluster', 'broker', 'addresses', 'read', 'write', 'perm'], rows }] }
  },
}

export const topicStatus: CliCommand = {
  noun: 'topic',
  verb: 'status',
  alias: 'topicStatus',
  summary: 'Offsets and last message of each queue of a topic',
  options: [TOPIC],
  async run({ admin, options }) {
    const stats = await admin.topics.stats(required(options, 'topic'))
    const rows = stats.map((q) => [q.brokerName, q.queueId, q.minOffset, q.maxOffset, q.messages, when(q.lastUpdateTimestamp)])
    const total = stats.reduce((sum, q) => sum + q.messages, 0)
    const columns = ['broker', 'queue', 'min offset', 'max offset', 'messages', 'last message']
    return { value: stats, tables: [{ columns, rows }], notes: [`${total} messages in ${stats.length} queues`] }
  },
}

export const updateTopic: CliCommand = {
  noun: 'topic',
  verb: 'update',
  alias: 'updateTopic',
  summary: 'Create a topic or change its settings',
  effect: 'change',
  options: [
    TOPIC,
    ...WHERE,
    { flags: '-r, --readQueueNums <n>', meaning: 'queues to read', default: '8' },
    { flags: '-w, --writeQueueNums <n>', meaning: 'queues to write', default: '8' },
    { flags: '-p, --perm <perm>', meaning: '2 write, 4 read, 6 both', default: '6' },
    { flags: '-o, --order <bool>', meaning: 'an ordered topic' },
    { flags: '-u, --unit <bool>', meaning: 'a unit topic' },
    { flags: '-s, --hasUnitSub <bool>', meaning: 'with unit subscriptions' },
    { flags: '-a, --attributes <list>', meaning: '+name=value,-name' },
  ],
  async run({ admin, options }) {
    const topic = required(options, 'topic')
    const settings = {
      topic,
      readQueueNums: number(options, 'readQueueNums') ?? 8,
      writeQueueNums: number(options, 'writeQueueNums') ?? 8,
      perm: number(options, 'perm') ?? 6,
      order: flag(options, 'order') ?? false,
      unit: flag(options, 'unit') ?? false,
      hasUnitSub: flag(options, 'hasUnitSub') ?? false,
      attributes: attributes(text(options, 'attributes')),
    }
    const brokers = await admin.topics.update(settings, where(options))
    return { value: { ...settings, brokers }, notes: brokers.map((b) => `topic ${topic} is set at ${b.brokerName} (${b.address})`) }
  },
}

const attributes = (list: string | undefined): Record<string, string> =>
  Object.fromEntries(
    (list?.split(',') ?? []).filter((part) => part !== '').map((part) => [part.split('=')[0] ?? '', part.split('=')[1] ?? '']),
  )

export const deleteTopic: CliCommand = {
  noun: 'topic',
  verb: 'delete',
  alias: 'deleteTopic',
  summary: 'Delete a topic and its messages at every broker of a cluster',
  effect: 'destroy',
  options: [TOPIC, { flags: '-c, --cluster <cluster>', meaning: 'only in this cluster' }],
  async run({ admin, options }) {
    const topic = required(options, 'topic')
    const brokers = await admin.topics.delete(topic, { cluster: text(options, 'cluster') })
    return {
      value: { topic, brokers },
      notes: [`topic ${topic} is deleted at ${brokers.map((b) => b.brokerName).join(', ')} and at the NameServers`],
    }
  },
}
