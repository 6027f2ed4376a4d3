import { expectSuccess } from '@skylarkmq/remoting'
import { GetGroupHealth, ResponseCode } from '@skylarkmq/remoting/protocol'
import { text, where } from '../options.ts'
import type { CliCommand, CommandContext } from '../types.ts'
import { checkGroup } from './doctor-checks.ts'
import type { Finding, Member } from './doctor-checks.ts'

interface Health {
  readonly brokerName: string
  readonly members: readonly Member[]
  readonly findings: readonly Finding[]
}

export const groupDoctor: CliCommand = {
  noun: 'group',
  verb: 'doctor',
  alias: 'groupDoctor',
  summary:
    'What is wrong with the consumption of a group: different subscriptions, queues that nobody pulls, addresses that nobody reaches',
  options: [
    { flags: '-g, --group <group>', meaning: 'the consumer group; without it: what the brokers report of all groups and clients' },
    { flags: '-c, --cluster <cluster>', meaning: 'ask the masters of this cluster (default: of all clusters)' },
    { flags: '-b, --broker <addr>', meaning: 'ask this broker only, as host:port' },
  ],
  async run(context) {
    const { options } = context
    const group = text(options, 'group')
    const reports = await askBrokers(context, group)
    const known = reports.filter((report) => report !== undefined)
    const isApache = known.length < reports.length
    const own = isApache && group !== undefined ? await checkGroup(context, group) : { members: [], findings: [] }
    const members = distinct([...known.flatMap((report) => report.members), ...own.members])
    const findings = [
      ...known.flatMap((report) => report.findings.map((finding) => ({ brokerName: report.brokerName, ...finding }))),
      ...own.findings,
    ]
    const notes = findings.map((finding) => `${sinceOf(finding)}${finding.sentence}`)
    if (isApache && group === undefined) notes.push('these brokers keep no list of findings: name a group with -g')
    if (findings.length === 0) notes.push(group === undefined ? 'nothing is wrong' : `nothing is wrong with group ${group}`)
    if (group !== undefined && members.length === 0) notes.push(`group ${group} has no member: nobody consumes`)
    const rows = members.map((m) => [
      m.clientId,
      m.address,
      m.language,
      Object.entries(m.subscriptions)
        .map(([topic, expression]) => `${topic}: ${expression}`)
        .join(', '),
    ])
    const tables = rows.length > 0 ? [{ columns: ['client id', 'address', 'language', 'subscribes to'], rows }] : []
    return { value: { group, members, findings }, tables, notes, exitCode: findings.length > 0 ? 1 : 0 }
  },
}

/** Undefined for a broker that does not know the question. */
async function askBrokers({ client, admin, options }: CommandContext, group: string | undefined): Promise<(Health | undefined)[]> {
  const { cluster, address } = where(options)
  const brokers = (await admin.cluster.brokers()).filter(
    (broker) => broker.brokerId === 0 && (cluster ?? broker.cluster) === broker.cluster,
  )
  const addresses = address === undefined ? brokers.map((broker) => broker.address) : [address]
  return Promise.all(
    addresses.map(async (to) => {
      const answer = await client.core.invoke(to, GetGroupHealth, { group })
      if (answer.code === ResponseCode.REQUEST_CODE_NOT_SUPPORTED) return undefined
      return JSON.parse(Buffer.from(expectSuccess(answer).body).toString()) as Health
    }),
  )
}

/** Every member is connected to every broker. */
const distinct = (members: readonly Member[]): readonly Member[] => [
  ...new Map(members.map((member) => [member.clientId, member])).values(),
]

const sinceOf = ({ sinceMs }: Finding): string => (sinceMs === undefined ? '' : `since ${new Date(sinceMs).toISOString()}: `)
