import { number, required, text } from '../options.ts'
import type { CliCommand, CommandContext, OptionDeclaration } from '../types.ts'
import { RocketError } from '@skylarkmq/client'

const ADDRESS: OptionDeclaration = { flags: '-b, --brokerAddr <addr>', meaning: 'this broker only, as host:port' }
const CLUSTER: OptionDeclaration = { flags: '-c, --clusterName <cluster>', meaning: 'every broker of this cluster (default: of all)' }
const SETTING: readonly OptionDeclaration[] = [
  { flags: '-k, --key <name>', meaning: 'the setting', required: true },
  { flags: '-v, --value <text>', meaning: 'its value', required: true },
]

async function addresses({ admin, options }: CommandContext): Promise<readonly string[]> {
  const one = text(options, 'brokerAddr')
  if (one !== undefined) return [one]
  const cluster = text(options, 'clusterName')
  const all = await admin.cluster.brokers()
  if (all.length === 0)
    throw new RocketError('no broker is registered at the NameServer; start one, and see that its namesrvAddr is right', {
      code: 'NO_ROUTE',
    })
  const found = all.filter((broker) => cluster === undefined || broker.cluster === cluster)
  if (found.length > 0) return found.map(({ address }) => address)
  const clusters = [...new Set(all.map((broker) => broker.cluster))].join(', ')
  throw new RocketError(`no cluster ${cluster}; there are: ${clusters}`, { code: 'BAD_ARGUMENT' })
}

/** One table per broker: its names and values. */
const tablesOf = (all: Readonly<Record<string, Readonly<Record<string, string>>>>) => ({
  value: all,
  tables: Object.entries(all).map(([address, table]) => ({
    columns: [address, ''],
    rows: Object.entries(table).sort(([a], [b]) => (a < b ? -1 : 1)),
  })),
})

const ofEach = async <T>(list: readonly string[], task: (address: string) => Promise<T>): Promise<Record<string, T>> =>
  Object.fromEntries(await Promise.all(list.map(async (address) => [address, await task(address)] as const)))

export const brokerStatus: CliCommand = {
  noun: 'broker',
  verb: 'status',
  alias: 'brokerStatus',
  summary: 'Counters and state of brokers',
  options: [ADDRESS, CLUSTER],
  run: async (context) => tablesOf(await ofEach(await addresses(context), (address) => context.admin.cluster.runtimeInfo(address))),
}

export const getBrokerConfig: CliCommand = {
  noun: 'broker',
  verb: 'config',
  alias: 'getBrokerConfig',
  summary: 'The settings of brokers',
  options: [ADDRESS, CLUSTER],
  run: async (context) => tablesOf(await ofEach(await addresses(context), (address) => context.admin.cluster.brokerConfig(address))),
}

export const updateBrokerConfig: CliCommand = {
  noun: 'broker',
  verb: 'set',
  alias: 'updateBrokerConfig',
  summary: 'Change a setting of running brokers',
  effect: 'change',
  options: [ADDRESS, CLUSTER, ...SETTING],
  async run(context) {
    const { admin, options } = context
    const [key, value] = [required(options, 'key'), required(options, 'value')]
    const list = await addresses(context)
    await ofEach(list, (address) => admin.cluster.updateBrokerConfig(address, { [key]: value }))
    return { value: { key, value, brokers: list }, notes: list.map((address) => `${key}=${value} is set at ${address}`) }
  },
}

export const getNamesrvConfig: CliCommand = {
  noun: 'namesrv',
  verb: 'config',
  alias: 'getNamesrvConfig',
  summary: 'The settings of the NameServers',
  options: [],
  run: async ({ admin }) => tablesOf(await admin.namesrv.config()),
}

export const updateNamesrvConfig: CliCommand = {
  noun: 'namesrv',
  verb: 'set',
  alias: 'updateNamesrvConfig',
  summary: 'Change a setting of all NameServers',
  effect: 'change',
  options: SETTING,
  async run({ admin, options }) {
    const [key, value] = [required(options, 'key'), required(options, 'value')]
    await admin.namesrv.updateConfig({ [key]: value })
    return { value: { key, value }, notes: admin.namesrv.addresses.map((address) => `${key}=${value} is set at ${address}`) }
  },
}

const BROKER_NAME: OptionDeclaration = { flags: '-b, --brokerName <name>', meaning: 'the broker', required: true }
const sum = (counts: readonly number[]): number => counts.reduce((a, b) => a + b, 0)

export const wipeWritePerm: CliCommand = {
  noun: 'namesrv',
  verb: 'wipe-write',
  alias: 'wipeWritePerm',
  summary: 'Keep producers away from a broker until it is added again',
  effect: 'destroy',
  options: [BROKER_NAME],
  async run({ admin, options }) {
    const topics = sum(await admin.namesrv.wipeWritePerm(required(options, 'brokerName')))
    return { value: { topics }, notes: [`the write permission of ${topics} topics was taken`], exitCode: topics === 0 ? 1 : 0 }
  },
}

export const addWritePerm: CliCommand = {
  noun: 'namesrv',
  verb: 'add-write',
  alias: 'addWritePerm',
  summary: 'Let producers use a broker again',
  effect: 'change',
  options: [BROKER_NAME],
  async run({ admin, options }) {
    const topics = sum(await admin.namesrv.addWritePerm(required(options, 'brokerName')))
    return { value: { topics }, notes: [`the write permission of ${topics} topics was given`], exitCode: topics === 0 ? 1 : 0 }
  },
}

const NAMESPACE: OptionDeclaration = { flags: '-s, --namespace <name>', meaning: 'the namespace', required: true }
const KEY: OptionDeclaration = { flags: '-k, --key <name>', meaning: 'the key', required: true }

export const updateKvConfig: CliCommand = {
  noun: 'namesrv',
  verb: 'kv-put',
  alias: 'updateKvConfig',
  summary: 'Set a value in a namespace of the NameServers',
  effect: 'change',
  options: [NAMESPACE, ...SETTING],
  async run({ admin, options }) {
    const [namespace, key, value] = [required(options, 'namespace'), required(options, 'key'), required(options, 'value')]
    await admin.namesrv.putKv(namespace, key, value)
    return { value: { namespace, key, value }, notes: [`${namespace}/${key} is set`] }
  },
}

export const deleteKvConfig: CliCommand = {
  noun: 'namesrv',
  verb: 'kv-delete',
  alias: 'deleteKvConfig',
  summary: 'Delete a value of a namespace of the NameServers',
  effect: 'destroy',
  options: [NAMESPACE, KEY],
  async run({ admin, options }) {
    const [namespace, key] = [required(options, 'namespace'), required(options, 'key')]
    await admin.namesrv.deleteKv(namespace, key)
    return { value: { namespace, key }, notes: [`${namespace}/${key} is deleted`] }
  },
}

export const updateTopicPerm: CliCommand = {
  noun: 'topic',
  verb: 'perm',
  alias: 'updateTopicPerm',
  summary: 'Change what may be done with a topic; its queues stay as they are',
  effect: 'change',
  options: [
    { flags: '-t, --topic <topic>', meaning: 'the topic', required: true },
    { flags: '-p, --perm <perm>', meaning: '2 write, 4 read, 6 both', required: true },
    { flags: '-c, --clusterName <cluster>', meaning: 'only in this cluster' },
    { flags: '-b, --brokerAddr <addr>', meaning: 'this broker only, as host:port' },
  ],
  async run({ admin, options }) {
    const topic = required(options, 'topic')
    const perm = number(options, 'perm') ?? 6
    const route = await admin.topics.route(topic)
    const [cluster, address] = [text(options, 'clusterName'), text(options, 'brokerAddr')]
    const changed = []
    for (const queues of route.queueDatas) {
      const broker = route.brokerDatas.find(({ brokerName }) => brokerName === queues.brokerName)
      const master = broker?.brokerAddrs['0']
      if (master === undefined || (cluster !== undefined && broker?.cluster !== cluster) || (address !== undefined && address !== master))
        continue
      const { readQueueNums, writeQueueNums, topicSysFlag } = queues
      const flags = { unit: (topicSysFlag & 1) !== 0, hasUnitSub: (topicSysFlag & 2) !== 0 }
      await admin.topics.update({ topic, readQueueNums, writeQueueNums, perm, ...flags }, { address: master })
      changed.push({ brokerName: queues.brokerName, from: queues.perm, to: perm })
    }
    const notes = changed.map(({ brokerName, from, to }) => `topic ${topic} at ${brokerName}: perm ${from} is now ${to}`)
    return { value: { topic, changed }, notes, exitCode: changed.length === 0 ? 1 : 0 }
  },
}
