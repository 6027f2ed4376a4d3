import type { MessageQueue } from '@skylarkmq/remoting/protocol'
import { isRetryTopic, RocketError } from '@skylarkmq/remoting/protocol'
import { ProcessQueue } from './process-queue.ts'
import type { ConsumedMessage } from './received-message.ts'
import { Wakeup } from './wakeup.ts'

export const queueKey = (queue: MessageQueue): string => `${queue.topic}\n${queue.brokerName}\n${queue.queueId}`

/** As Java's `MessageQueue#compareTo`: every member of a group must sort alike. */
export function compareQueues(a: MessageQueue, b: MessageQueue): number {
  if (a.topic !== b.topic) return a.topic < b.topic ? -1 : 1
  if (a.brokerName !== b.brokerName) return a.brokerName < b.brokerName ? -1 : 1
  return a.queueId - b.queueId
}

/** A queue that this consumer owns now, with all that it knows of it. */
export class AssignedQueue {
  readonly queue: MessageQueue
  readonly key: string
  /** Messages are popped, not pulled: it has no offset and no cache. */
  readonly isPopped: boolean
  /** Popped, here, and not settled. */
  poppedMessages = 0
  /** Replaced as a whole when the offset is set anew: results for the old one no longer count. */
  cache = new ProcessQueue<ConsumedMessage>()
  /** Where the next pull begins. */
  nextOffset: number
  isDropped = false
  /** Aborted when the queue is given up: ends pulls and waits. */
  readonly lifetime = new AbortController()
  /** Ends the pull under way when the offset is set anew, and when the queue is given up. Made anew when it has been used. */
  pullAbort: AbortController | undefined
  /** Something changed that a waiting pull wants to know: room in the cache, a lock, the end of a pause. */
  readonly changed = new Wakeup()
  /** Which copy of the broker the last answer suggested for the next pull. */
  suggestedBrokerId = 0
  /** Handlers at work on this queue. */
  inFlight = 0
  readonly idle = new Wakeup()
  /** Counts what handlers did to say that they are still at work. */
  signsOfLife = 0
  /** The application wants nothing of this queue for now. */
  isPaused = false
  /** Monotonic time of the last answer to a pull. */
  lastAnswerMs = 0
  /** In line for a handler; a mark of the consumption service. */
  isInLine = false
  /** Monotonic; orderly consumers work only before it. */
  lockedUntilMs = 0
  /** The lock ran out once: somebody else may have consumed since. */
  lockWasLost = false
  /** Wall times, for running info. */
  lastPullMs = 0
  lastConsumeMs = 0
  lastLockMs = 0

  constructor(queue: MessageQueue, startOffset: number, isPopped = false) {
    this.queue = queue
    this.isPopped = isPopped
    this.key = queueKey(queue)
    this.nextOffset = startOffset
    this.cache.advance(startOffset)
  }

  /** Continue from another offset: what is cached is forgotten. */
  reset(offset: number): void {
    const old = this.cache
    this.cache = new ProcessQueue()
    this.cache.advance(offset)
    this.nextOffset = offset
    abortAll(old, `queue ${this.queue.queueId} of ${this.queue.topic} was set to offset ${offset}`)
    this.pullAbort?.abort()
    this.changed.wake()
  }

  /** Given up: another member may take it. Handlers at work learn it by their signal. */
  drop(): void {
    if (this.isDropped) return
    this.isDropped = true
    this.lifetime.abort()
    this.pullAbort?.abort()
    abortAll(this.cache, `queue ${this.queue.queueId} of ${this.queue.topic} on ${this.queue.brokerName} now belongs to another consumer`)
    this.changed.wake()
  }

  begin(): void {
    this.inFlight++
  }

  end(): void {
    this.inFlight--
    this.changed.wake()
    if (this.inFlight === 0) this.idle.wake()
  }
}

export function abortAll(cache: ProcessQueue<ConsumedMessage>, why: string): void {
  for (const entry of cache.inHand()) entry.controller?.abort(new RocketError(why, { code: 'ABORTED', phase: 'consume' }))
}

/** The queues that a consumer owns. */
export class Assignment {
  #queues = new Map<string, AssignedQueue>()
  /** How many are not of a retry topic. */
  ordinary = 0

  get all(): AssignedQueue[] {
    return [...this.#queues.values()]
  }

  get size(): number {
    return this.#queues.size
  }

  of(topic: string): AssignedQueue[] {
    return this.all.filter((assigned) => assigned.queue.topic === topic)
  }

  get(queue: MessageQueue): AssignedQueue | undefined {
    return this.#queues.get(queueKey(queue))
  }

  add(assigned: AssignedQueue): void {
    this.#queues.set(assigned.key, assigned)
    if (!isRetryTopic(assigned.queue.topic)) this.ordinary++
  }

  delete(assigned: AssignedQueue): void {
    if (this.#queues.delete(assigned.key) && !isRetryTopic(assigned.queue.topic)) this.ordinary--
  }
}
