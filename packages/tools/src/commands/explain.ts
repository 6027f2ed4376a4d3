import type { ReceivedMessage } from '@skylarkmq/client'
import { RocketError } from '@skylarkmq/client'
import { PROPERTY, retryTopic } from '@skylarkmq/remoting/protocol'
import { GROUP, required, text } from '../options.ts'
import type { CliCommand, CommandContext } from '../types.ts'
import { factsOf, findTrail } from './explain-facts.ts'
import type { Facts, Trail } from './explain-facts.ts'
import { attemptText, deadVerdict, queueVerdict, waitingVerdict } from './explain-verdict.ts'
import type { Verdict } from './explain-verdict.ts'

export const explain: CliCommand = {
  noun: 'message',
  verb: 'explain',
  alias: 'explain',
  summary: 'Where a message stands for a group, and why: delivered, acknowledged, filtered, waiting for a retry, dead, …',
  argument: { declaration: '[msgId]', option: 'msgId' },
  options: [
    { flags: '-i, --msgId <id>', meaning: 'message id or offset message id (or as the first word)' },
    GROUP,
    { flags: '-t, --topic <topic>', meaning: 'the topic that it was sent to; without it all topics of the group are searched' },
  ],
  async run(context) {
    const { options } = context
    const [id, group] = [required(options, 'msgId'), required(options, 'group')]
    if (id === '') throw badId()
    const trail = await findTrail(context, id, group, text(options, 'topic'))
    const stage = trail.retries.at(-1) ?? trail.originals.at(-1)
    const facts = stage === undefined ? undefined : await factsOf(context, stage, group)
    const verdict = await judge(context, trail, stage, facts, group)
    const first = trail.originals[0] ?? stage ?? trail.waiting[0] ?? trail.dead[0]
    const steps = stepsOf(trail, facts)
    const { standing, sentence } = verdict
    const retry =
      stage !== undefined && stage.reconsumeTimes > 0 ? ` (${attemptText(stage.reconsumeTimes, facts?.group.retryMaxTimes ?? 16)})` : ''
    return {
      value: { messageId: first?.messageId, group, standing, sentence, facts, steps },
      tables: [
        { columns: ['time', 'what', 'where'], rows: steps.map(({ atMs, what, where }) => [new Date(atMs).toISOString(), what, where]) },
      ],
      notes: [`${standing}${retry}: ${sentence}`],
    }
  },
}

const badId = () => new RocketError('name the message: skylark explain MESSAGE_ID -g GROUP', { code: 'BAD_ARGUMENT' })

async function judge(
  context: CommandContext,
  trail: Trail,
  stage: ReceivedMessage | undefined,
  facts: Facts | undefined,
  group: string,
): Promise<Verdict> {
  const dead = deadVerdict(trail, group)
  if (dead !== undefined) return dead
  const levels = trail.waiting.length === 0 ? [] : await delayLevels(context, trail.waiting)
  const isRetry = (topic: string) => topic === retryTopic(group)
  const nowMs = facts?.nowMs ?? context.world.runtime.clock.now()
  const known = { nowMs, retryMaxTimes: facts?.group.retryMaxTimes ?? 16 }
  const waiting = waitingVerdict(trail, isRetry, (message) => dueMsOf(message, levels), known)
  if (waiting !== undefined) return waiting
  if (stage !== undefined && facts !== undefined) return queueVerdict(stage, facts, group)
  return { standing: 'delayed', sentence: 'it waits for its time' }
}

function dueMsOf({ stored }: ReceivedMessage, levels: readonly number[]): number | undefined {
  const out = Number(stored.properties.get('TIMER_OUT_MS') ?? Number.NaN)
  if (Number.isFinite(out)) return out
  const delay = levels[Number(stored.properties.get(PROPERTY.DELAY) ?? 0) - 1]
  return delay === undefined ? undefined : stored.storeTimestamp + delay
}

const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

async function delayLevels({ client, admin }: CommandContext, [first]: readonly ReceivedMessage[]): Promise<readonly number[]> {
  const address = first && client.core.brokerAddresses(first.brokerName).get(0)
  if (address === undefined) return []
  const levels = (await admin.cluster.brokerConfig(address)).messageDelayLevel ?? ''
  return levels.split(/\s+/).map((level) => Number(level.slice(0, -1)) * (UNITS[level.slice(-1)] ?? Number.NaN))
}

interface Step {
  readonly atMs: number
  readonly what: string
  readonly where: string
}

/** What happened, in order. */
function stepsOf(trail: Trail, facts: Facts | undefined): readonly Step[] {
  const place = ({ brokerName, stored }: ReceivedMessage) => `${stored.topic} ${brokerName}/${stored.queueId} offset ${stored.queueOffset}`
  const stored = (messages: readonly ReceivedMessage[], what: (message: ReceivedMessage) => string) =>
    messages.map((message) => ({ atMs: message.stored.storeTimestamp, what: what(message), where: place(message) }))
  const isRetry = (message: ReceivedMessage) => message.reconsumeTimes > 0
  const steps: Step[] = [
    ...stored(trail.originals, (message) => `stored${message.tags === undefined ? '' : `, tag ${message.tags}`}`),
    ...stored(trail.waiting, (message) =>
      isRetry(message) ? `given back by a consumer: retry ${message.reconsumeTimes} waits` : 'waits for its time',
    ),
    ...stored(trail.retries, (message) => `retry ${message.reconsumeTimes} ready`),
    ...stored(trail.dead, () => 'given up: dead letter'),
    ...(facts?.deliveries ?? []).map(({ atMs, clientId, address }) => ({ atMs, what: 'delivered', where: `${clientId} at ${address}` })),
  ]
  const acknowledged = facts?.acknowledged
  if (acknowledged !== undefined) {
    steps.push({
      atMs: acknowledged.atMs,
      what: acknowledged.address === '' ? 'skipped by an operator' : 'acknowledged',
      where: acknowledged.address,
    })
  }
  return steps.sort((a, b) => a.atMs - b.atMs)
}
