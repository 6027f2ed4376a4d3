/** From facts to a sentence: where a message stands for a group, and why. Nothing is asked here. */
import type { ReceivedMessage } from '@skylarkmq/client'
import { PROPERTY } from '@skylarkmq/remoting/protocol'
import type { Facts, Trail } from './explain-facts.ts'

export type Standing =
  | 'acknowledged'
  | 'delivered'
  | 'invisible'
  | 'filtered'
  | 'not-subscribed'
  | 'before-start'
  | 'skipped'
  | 'held-behind'
  | 'no-consumer'
  | 'disabled'
  | 'deleted'
  | 'waits-for-retry'
  | 'delayed'
  | 'dead'

export interface Verdict {
  readonly standing: Standing
  readonly sentence: string
}

const iso = (ms: number): string => new Date(ms).toISOString()
const seconds = (ms: number): string => `${Math.max(0, Math.round(ms / 1000))} s`
const who = ({ clientId, address }: { readonly clientId: string; readonly address: string }): string =>
  clientId === '' ? address : `${clientId} at ${address}`

/** How often it may be tried: `attempt 3 of 17`. */
export const attemptText = (reconsumeTimes: number, retryMaxTimes: number): string => `retry ${reconsumeTimes} of ${retryMaxTimes}`

export function deadVerdict(trail: Trail, group: string): Verdict | undefined {
  const dead = trail.dead.at(-1)
  if (dead === undefined) return undefined
  return {
    standing: 'dead',
    sentence:
      `it is in the dead-letter topic ${dead.stored.topic} since ${iso(dead.stored.storeTimestamp)}, after ${dead.reconsumeTimes - 1} retries: ` +
      `no consumer of group ${group} gets it again; when the reason is mended, send it anew`,
  }
}

/** Messages that wait for a time: a retry of this group, or the message itself. */
export function waitingVerdict(
  trail: Trail,
  retryTopics: (topic: string) => boolean,
  dueMsOf: (message: ReceivedMessage) => number | undefined,
  facts: { readonly nowMs: number; readonly retryMaxTimes: number },
): Verdict | undefined {
  const waiting = trail.waiting.filter((message) => !hasArrived(trail, message)).at(-1)
  if (waiting === undefined) return undefined
  const dueMs = dueMsOf(waiting)
  const when = dueMs === undefined ? 'until its delay is over' : `until ${iso(dueMs)} (${seconds(dueMs - facts.nowMs)})`
  if (retryTopics(waiting.stored.properties.get(PROPERTY.REAL_TOPIC) ?? '')) {
    const attempt = attemptText(waiting.reconsumeTimes, facts.retryMaxTimes)
    return { standing: 'waits-for-retry', sentence: `a consumer failed at it and gave it back: ${attempt} waits ${when}` }
  }
  return trail.originals.length > 0 ? undefined : { standing: 'delayed', sentence: `it was sent with a delay and waits ${when}` }
}

function hasArrived(trail: Trail, waiting: ReceivedMessage): boolean {
  const topic = waiting.stored.properties.get(PROPERTY.REAL_TOPIC)
  return [...trail.originals, ...trail.retries].some(
    ({ stored, reconsumeTimes }) => stored.topic === topic && reconsumeTimes === waiting.reconsumeTimes,
  )
}

/** Of one record in one queue. */
export function queueVerdict(message: ReceivedMessage, facts: Facts, group: string): Verdict {
  const { queueOffset } = message.stored
  return (
    notMeant(message, facts, group) ??
    inFlightVerdict(facts) ??
    (facts.committed !== undefined && facts.committed > queueOffset ? behind(facts, queueOffset) : undefined) ??
    ahead(message, facts, group)
  )
}

function notMeant(message: ReceivedMessage, facts: Facts, group: string): Verdict | undefined {
  const { topic } = message.stored
  const { subscription, members } = facts
  if (!facts.group.exists) return { standing: 'no-consumer', sentence: `there is no group ${group}: nobody has consumed with it yet` }
  if (members.length > 0 && subscription === undefined) {
    return { standing: 'not-subscribed', sentence: `the members of group ${group} do not subscribe to topic ${topic}` }
  }
  if (subscription?.wantsIt === false) {
    const tag = message.tags === undefined ? 'it has no tag' : `its tag is ${message.tags}`
    const why = subscription.type === 'TAG' ? tag : 'its properties do not fulfil the condition'
    return { standing: 'filtered', sentence: `it is filtered out: ${why}, and group ${group} subscribes to ${subscription.expression}` }
  }
  return undefined
}

function inFlightVerdict({ pop, nowMs }: Facts): Verdict | undefined {
  const inFlight = pop?.inFlight
  if (inFlight === undefined) return undefined
  return {
    standing: 'invisible',
    sentence:
      `it was popped at ${iso(inFlight.poppedAtMs)} and is not acknowledged; it is invisible until ${iso(nowMs + inFlight.visibleInMs)} ` +
      `(${seconds(inFlight.visibleInMs)}) and is delivered again then`,
  }
}

/** The group has gone past it. */
function behind(facts: Facts, queueOffset: number): Verdict {
  const { acknowledged, pinnedStart, committed, deliveries, hasJournal, knownSinceMs } = facts
  if (acknowledged !== undefined && acknowledged.address === '') {
    return {
      standing: 'skipped',
      sentence: `it was skipped: at ${iso(acknowledged.atMs)} an operator moved the group to offset ${committed}, behind it`,
    }
  }
  if (deliveries.length === 0 && pinnedStart !== undefined && queueOffset < pinnedStart) return beforeStart(pinnedStart)
  const delivered = deliveries.at(-1)
  const to = delivered === undefined ? '' : `; it was delivered at ${iso(delivered.atMs)} to ${who(delivered)}`
  if (acknowledged !== undefined) {
    return { standing: 'acknowledged', sentence: `it is acknowledged since ${iso(acknowledged.atMs)} by ${acknowledged.address}${to}` }
  }
  const unknown = hasJournal
    ? `when and by whom is forgotten (the broker remembers ${knownSinceMs === undefined ? 'nothing of this queue since its start' : `what happened since ${iso(knownSinceMs)}`})`
    : 'this broker keeps no record of when and by whom'
  return { standing: 'acknowledged', sentence: `it is acknowledged: the group’s offset is ${committed}; ${unknown}${to}` }
}

const beforeStart = (start: number): Verdict => ({
  standing: 'before-start',
  sentence: `it is older than the group’s start: the group began at offset ${start}; to have it consumed, reset the group to before it`,
})

/** The group has not come past it. */
function ahead(message: ReceivedMessage, facts: Facts, group: string): Verdict {
  const { queueOffset, queueId, topic } = message.stored
  const { deliveries, members, queue, pinnedStart, isBroadcasting } = facts
  const delivered = deliveries.at(-1)
  if (isBroadcasting && delivered === undefined) {
    return {
      standing: 'held-behind',
      sentence: `group ${group} is broadcasting: each member keeps its own place, and none has pulled it lately`,
    }
  }
  if (delivered !== undefined) {
    const times = deliveries.length > 1 ? `${deliveries.length} times, last ` : ''
    const rest = isBroadcasting
      ? 'each member keeps its own place'
      : `it is not acknowledged: its handler has not finished, or the commit has not come yet`
    return {
      standing: 'delivered',
      sentence: `it was delivered ${times}at ${iso(delivered.atMs)} to ${who(delivered)}; ${rest}${heldText(facts)}`,
    }
  }
  if (queueOffset < queue.minOffset)
    return { standing: 'deleted', sentence: `it has been deleted: queue ${queueId} begins at ${queue.minOffset}` }
  if (facts.committed === undefined && pinnedStart !== undefined && queueOffset < pinnedStart) return beforeStart(pinnedStart)
  if (!facts.group.consumeEnable)
    return { standing: 'disabled', sentence: `group ${group} may not consume: its setting consumeEnable is false` }
  const before = queueOffset - Math.max(facts.committed ?? pinnedStart ?? queue.minOffset, queue.minOffset)
  const place = before > 0 ? `${before} messages of queue ${queueId} of topic ${topic} are before it` : 'it is the next one of its queue'
  if (members.length === 0)
    return { standing: 'no-consumer', sentence: `it has not been delivered: group ${group} has no member now; ${place}` }
  const puller = facts.lastPull
  const pull = puller
    ? `; ${who(puller)} pulled the queue last, ${seconds(facts.nowMs - puller.atMs)} ago`
    : facts.hasJournal
      ? '; nobody has pulled the queue yet'
      : ''
  return { standing: 'held-behind', sentence: `it has not been delivered: ${place}${pull}${heldText(facts)}` }
}

function heldText({ lock, pendingReset }: Facts): string {
  const held =
    lock === undefined
      ? ''
      : `; the queue is locked by ${lock.clientId}, which consumes it in order (renewed ${seconds(lock.renewedMsAgo)} ago)`
  return pendingReset === undefined ? held : `${held}; an operator’s reset to ${pendingReset} waits for the consumer’s next pull`
}
