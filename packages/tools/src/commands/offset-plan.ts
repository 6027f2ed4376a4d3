/** Where a reset would bring a group, queue by queue: computed from requests that every broker answers, so that it can be shown first. */
import type { Client, MessageQueue } from '@skylarkmq/client'
import { RocketError } from '@skylarkmq/client'
import { expectSuccess } from '@skylarkmq/remoting'
import { GetMaxOffset, GetMinOffset, QueryConsumerOffset, ResponseCode, SearchOffsetByTimestamp } from '@skylarkmq/remoting/protocol'
import { SILENT } from '../progress.ts'
import type { Progress } from '../progress.ts'

export interface Target {
  readonly group: string
  readonly topic: string
  /** Milliseconds since 1970; 'latest' skips all; or a place in one queue. */
  readonly to: number | 'latest' | { readonly offset: number }
  readonly brokerName?: string | undefined
  readonly queueId?: number | undefined
}

export interface PlannedQueue {
  readonly topic: string
  readonly brokerName: string
  readonly queueId: number
  /** Undefined: the group has no offset there. */
  readonly current: number | undefined
  readonly target: number
  readonly minOffset: number
  readonly maxOffset: number
}

export async function planReset(client: Client, target: Target, bar: Progress = SILENT): Promise<readonly PlannedQueue[]> {
  const { topic, group } = target
  const all = await client.core.subscribeQueues(topic, { refresh: true })
  const queues = all.filter(
    (queue) =>
      (target.brokerName === undefined || queue.brokerName === target.brokerName) &&
      (target.queueId === undefined || queue.queueId === target.queueId),
  )
  if (queues.length === 0) {
    const known = all.map((queue) => `${queue.brokerName}/${queue.queueId}`).join(', ')
    throw new RocketError(`topic ${topic} has no such queue; it has ${known || 'none'}`, {
      code: all.length === 0 ? 'TOPIC_NOT_EXIST' : 'BAD_ARGUMENT',
      topic,
    })
  }
  bar.more(queues.length)
  return Promise.all(
    queues.map(async (queue) => {
      const planned = await planQueue(client, group, queue, target.to)
      bar.done()
      return planned
    }),
  )
}

async function planQueue({ core }: Client, group: string, queue: MessageQueue, to: Target['to']): Promise<PlannedQueue> {
  const { topic, brokerName, queueId } = queue
  const at = { topic, queueId }
  const [minOffset, maxOffset, current] = await Promise.all([
    core.invoke(brokerName, GetMinOffset, at).then((answer) => Math.max(0, expectSuccess(answer).header().offset)),
    core.invoke(brokerName, GetMaxOffset, at).then((answer) => expectSuccess(answer).header().offset),
    committedOffset({ core } as Client, group, queue),
  ])
  const target =
    to === 'latest'
      ? maxOffset
      : typeof to === 'object'
        ? to.offset
        : expectSuccess(await core.invoke(brokerName, SearchOffsetByTimestamp, { ...at, timestamp: to })).header().offset
  if (typeof to === 'object' && (target < minOffset || target > maxOffset)) {
    const message = `offset ${target} is not in queue ${brokerName}/${queueId} of topic ${topic}: it holds ${minOffset} to ${maxOffset}`
    throw new RocketError(message, { code: 'BAD_ARGUMENT', topic, group })
  }
  return { topic, brokerName, queueId, current, target: Math.max(0, target), minOffset, maxOffset }
}

export async function committedOffset({ core }: Pick<Client, 'core'>, group: string, queue: MessageQueue): Promise<number | undefined> {
  const header = { consumerGroup: group, topic: queue.topic, queueId: queue.queueId, setZeroIfNotFound: false }
  const answer = await core.invoke(queue.brokerName, QueryConsumerOffset, header)
  return answer.code === ResponseCode.QUERY_NOT_FOUND ? undefined : expectSuccess(answer).header().offset
}

export const effectOf = ({ current, target, minOffset }: PlannedQueue): { readonly skips: number; readonly replays: number } => {
  const from = Math.max(current ?? minOffset, minOffset)
  return { skips: Math.max(0, target - from), replays: Math.max(0, from - target) }
}

export function effectText(queue: PlannedQueue): string {
  const { skips, replays } = effectOf(queue)
  return skips > 0 ? `skips ${skips}` : replays > 0 ? `replays ${replays}` : 'stays'
}

/** What a person wants to know before: `skips 1203, replays 0`. */
export function sumText(queues: readonly PlannedQueue[]): string {
  const sum = (pick: (queue: PlannedQueue) => number) => queues.reduce((all, queue) => all + pick(queue), 0)
  return `skips ${sum((queue) => effectOf(queue).skips)} messages, replays ${sum((queue) => effectOf(queue).replays)}`
}
