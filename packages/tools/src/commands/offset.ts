import type { Client } from '@skylarkmq/client'
import { RocketError } from '@skylarkmq/client'
import { expectSuccess } from '@skylarkmq/remoting'
import {
  CloneGroupOffset,
  InvokeBrokerToResetOffset,
  ResponseCode,
  UpdateConsumerOffset,
  pairsOf,
  parseFastjson,
} from '@skylarkmq/remoting/protocol'
import { GROUP, flag, number, required, text, time, TOPIC } from '../options.ts'
import type { CliCommand, CommandContext, Options, Outcome, Table } from '../types.ts'
import { committedOffset, effectText, planReset, sumText } from './offset-plan.ts'
import type { PlannedQueue, Target } from './offset-plan.ts'

const DRY_RUN = { flags: '--dry-run', meaning: 'only show what would happen' }
/** Clients that are told to move themselves (brokers before 5.0) rest for ten seconds first. */
const VERIFY_MS = 20_000
const VERIFY_EVERY_MS = 500

export const resetOffsetByTime: CliCommand = {
  noun: 'offset',
  verb: 'reset',
  alias: 'resetOffsetByTime',
  effect: 'change',
  summary: 'Set a group back or forth, by time or to an offset of one queue: shown before, verified after; online or not',
  options: [
    GROUP,
    TOPIC,
    {
      flags: '-s, --timestamp <time>',
      meaning: 'now, earliest, latest, ms since 1970 (-1: latest), or a date like 2026-11-21#08:00:00:000',
      required: true,
    },
    { flags: '-f, --force <bool>', meaning: 'false: only back, never forth', default: 'true' },
    { flags: '-b, --broker <name>', meaning: 'only this broker, by name or host:port' },
    { flags: '-q, --queue <n>', meaning: 'only this queue (with -b)' },
    { flags: '-o, --offset <n>', meaning: 'to this offset (with -b and -q) instead of a time' },
    { flags: '-c, --cluster <cluster>', meaning: 'ignored: the topic’s route says where its brokers are (mqadmin’s flag)' },
    DRY_RUN,
  ],
  run: async (context) => reset(context, await targetOf(context)),
}

export const skipAccumulated: CliCommand = {
  noun: 'offset',
  verb: 'skip',
  alias: 'skipAccumulatedMessage',
  effect: 'change',
  summary: 'Have a group skip everything that it has not consumed',
  options: [
    GROUP,
    TOPIC,
    { flags: '-f, --force <bool>', meaning: 'false: only back, never forth', default: 'true' },
    { flags: '-c, --cluster <cluster>', meaning: 'ignored: the topic’s route says where its brokers are (mqadmin’s flag)' },
    DRY_RUN,
  ],
  run: (context) => {
    const { options } = context
    return reset(context, { group: required(options, 'group'), topic: required(options, 'topic'), to: 'latest' })
  },
}

async function targetOf({ options, client, world }: CommandContext): Promise<Target> {
  const base = { group: required(options, 'group'), topic: required(options, 'topic') }
  const queueId = number(options, 'queue')
  const offset = number(options, 'offset')
  const brokerName = await brokerNameOf(client, base.topic, text(options, 'broker'))
  if (queueId !== undefined && brokerName === undefined) throw bad('-q needs -b: every broker of the topic has a queue of that number')
  if (offset !== undefined && queueId === undefined) throw bad('-o needs -b and -q: an offset is a place in one queue')
  if (offset !== undefined && offset >= 0) return { ...base, brokerName, queueId, to: { offset } }
  return { ...base, brokerName, queueId, to: timeOf(options, world.runtime.clock.now()) }
}

const bad = (sentence: string) => new RocketError(sentence, { code: 'BAD_ARGUMENT' })

function timeOf(options: Options, now: number): number | 'latest' {
  const value = text(options, 'timestamp')?.trim()
  if (value === 'now' || value === 'currentTimeMillis') return now
  if (value === 'earliest') return 0
  if (value === 'latest' || value === '-1') return 'latest'
  return time(options, 'timestamp') ?? now
}

/** mqadmin gives an address, people a name. */
async function brokerNameOf({ core }: Client, topic: string, broker: string | undefined): Promise<string | undefined> {
  if (broker === undefined) return undefined
  const route = await core.route(topic, { refresh: true })
  const found = route.brokerDatas.find(
    ({ brokerName, brokerAddrs }) => brokerName === broker || Object.values(brokerAddrs).includes(broker),
  )
  if (found !== undefined) return found.brokerName
  throw bad(`topic ${topic} is not at a broker ${broker}; it is at: ${route.brokerDatas.map((one) => one.brokerName).join(', ') || 'none'}`)
}

async function reset(context: CommandContext, target: Target): Promise<Outcome> {
  const { client, options } = context
  const isForce = flag(options, 'force') ?? true
  const { group, topic } = target
  const plan = await planReset(client, target, context.progress(`looking at the queues of ${topic}`))
  const shown = { group, topic, queues: plan }
  if (options.dryRun === true) {
    return { value: { ...shown, dryRun: true }, tables: [planTable(plan)], notes: [`would be done: ${sumText(plan)}`] }
  }
  const set = await apply(context, target, plan, isForce)
  const done = plan.filter((queue) => set.has(keyOf(queue))).map((queue) => ({ ...queue, target: set.get(keyOf(queue)) as number }))
  const unset = plan.filter((queue) => !set.has(keyOf(queue)))
  const failed = await verify(context, group, done)
  const notes = [`${sumText(done)}; ${failed.length === 0 ? 'verified' : 'NOT verified'}`]
  if (unset.length > 0) {
    notes.push(`${unset.length} queues stay where they are: their target is ahead, and with --force false a group is only set back`)
  }
  for (const queue of failed) {
    notes.push(
      `${queue.brokerName}/${queue.queueId}: the group is not at ${queue.target} after ${VERIFY_MS / 1000} s; ` +
        'a consumer that did not hear of it keeps committing its own place: stop the group, reset it, start it again',
    )
  }
  return {
    value: { ...shown, queues: done, verified: failed.length === 0 },
    tables: [planTable(done)],
    notes,
    exitCode: failed.length && 1,
  }
}

const keyOf = ({ brokerName, queueId }: { brokerName: string; queueId: number }): string => `${brokerName}/${queueId}`

const planTable = (queues: readonly PlannedQueue[]): Table => ({
  columns: ['topic', 'broker', 'queue', 'offset', 'new offset', 'effect'],
  rows: queues.map((queue) => [queue.topic, queue.brokerName, queue.queueId, queue.current ?? 'none', queue.target, effectText(queue)]),
})

/** Asks each broker; returns what it says it has set. */
async function apply(
  { client, progress }: CommandContext,
  target: Target,
  plan: readonly PlannedQueue[],
  isForce: boolean,
): Promise<Map<string, number>> {
  const { group, topic, to } = target
  const set = new Map<string, number>()
  const bar = progress(`setting ${group}`, plan.length)
  for (const brokerName of new Set(plan.map((queue) => queue.brokerName))) {
    const own = plan.filter((queue) => queue.brokerName === brokerName)
    const timestamp = typeof to === 'number' ? to : -1
    const place = target.queueId === undefined ? {} : { queueId: target.queueId, ...(typeof to === 'object' ? { offset: to.offset } : {}) }
    const answer = await client.core.invoke(brokerName, InvokeBrokerToResetOffset, { group, topic, timestamp, isForce, ...place })
    if (answer.code === ResponseCode.CONSUMER_NOT_ONLINE) {
      // Brokers before 5.0 move online groups only: of others the offset is set directly.
      for (const queue of own) {
        if (!isForce && queue.target > (queue.current ?? 0)) continue
        await commit(client, group, queue)
        bar.done()
        set.set(keyOf(queue), queue.target)
      }
      continue
    }
    bar.done(own.length)
    const body = parseFastjson(Buffer.from(expectSuccess(answer).body).toString()) as { readonly offsetTable?: unknown } | null
    for (const [queue, offset] of pairsOf(body?.offsetTable)) {
      const { queueId } = queue as { readonly queueId: number }
      set.set(keyOf({ brokerName, queueId }), Number(offset))
    }
  }
  return set
}

async function commit({ core }: Client, consumerGroup: string, queue: PlannedQueue): Promise<void> {
  const { topic, queueId, target: commitOffset } = queue
  expectSuccess(await core.invoke(queue.brokerName, UpdateConsumerOffset, { consumerGroup, topic, queueId, commitOffset }))
}

/** A consumer may have gone on from the new place already. */
const hasArrived = ({ current, target }: PlannedQueue, offset: number): boolean =>
  offset === target || (offset > target && (current === undefined || target >= current || offset < current))

async function verify(
  { client, world, progress }: CommandContext,
  group: string,
  queues: readonly PlannedQueue[],
): Promise<readonly PlannedQueue[]> {
  const { clock } = world.runtime
  let open = queues
  const bar = progress(`seeing that ${group} is there`, queues.length)
  for (let waited = 0; ; waited += VERIFY_EVERY_MS) {
    const offsets = await Promise.all(open.map((queue) => committedOffset(client, group, queue)))
    open = open.filter((queue, i) => !hasArrived(queue, offsets[i] ?? -1))
    bar.at(queues.length - open.length, queues.length)
    if (open.length === 0 || waited >= VERIFY_MS) return open
    await clock.sleep(VERIFY_EVERY_MS)
  }
}

export const cloneGroupOffset: CliCommand = {
  noun: 'offset',
  verb: 'clone',
  alias: 'cloneGroupOffset',
  effect: 'change',
  summary: 'Set a group to where another group is in a topic',
  options: [
    { flags: '-s, --srcGroup <group>', meaning: 'the group that is copied', required: true },
    { flags: '-d, --destGroup <group>', meaning: 'the group that is set', required: true },
    TOPIC,
    { flags: '-o, --offline <bool>', meaning: 'also topics that the source group does not subscribe to now', default: 'true' },
    DRY_RUN,
  ],
  async run({ client, options, progress }) {
    const [srcGroup, destGroup, topic] = [required(options, 'srcGroup'), required(options, 'destGroup'), required(options, 'topic')]
    const offline = String(flag(options, 'offline') ?? true)
    const queues = await client.core.subscribeQueues(topic, { refresh: true })
    const bar = progress(`reading the offsets of ${srcGroup}`, queues.length)
    const places = await Promise.all(
      queues.map(async (queue) => {
        const source = await committedOffset(client, srcGroup, queue)
        bar.done()
        return { ...queue, source }
      }),
    )
    const known = places.filter((place) => place.source !== undefined)
    if (known.length === 0) {
      throw new RocketError(`group ${srcGroup} has no offset in topic ${topic}: nothing to clone`, { code: 'QUERY_NOT_FOUND', topic })
    }
    const rows = async () =>
      Promise.all(known.map(async (place) => [place.brokerName, place.queueId, place.source as number, await now(place)]))
    const now = async (queue: (typeof known)[number]) => (await committedOffset(client, destGroup, queue)) ?? 'none'
    const columns = ['broker', 'queue', srcGroup, destGroup]
    if (options.dryRun === true) {
      return { value: { srcGroup, destGroup, topic, queues: known, dryRun: true }, tables: [{ columns, rows: await rows() }] }
    }
    for (const brokerName of new Set(known.map((place) => place.brokerName))) {
      expectSuccess(await client.core.invoke(brokerName, CloneGroupOffset, { srcGroup, destGroup, topic, offline }))
    }
    const notes = [`group ${destGroup} is where group ${srcGroup} is in ${known.length} queues of topic ${topic}`]
    return { value: { srcGroup, destGroup, topic, queues: known }, tables: [{ columns, rows: await rows() }], notes }
  },
}
