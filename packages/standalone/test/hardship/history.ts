/** What was promised against what is there: the judge of the tests that kill a broker. Pure, so that it can be tried on planted faults. */
import { createHash } from 'node:crypto'
import { RETRY_PREFIX } from '@skylarkmq/remoting/protocol'

/** An acknowledgement that a producer received. */
export interface Acknowledged {
  readonly id: string
  readonly topic: string
  readonly queueId: number
  readonly queueOffset: number
  readonly physicalOffset: number
  /** Of a delayed message: its place is the schedule topic's until it is due. */
  readonly isDelayed: boolean
}

/** A message as a reader found it in its queue. */
export interface Found {
  readonly id: string
  readonly topic: string
  readonly queueId: number
  readonly queueOffset: number
  readonly physicalOffset: number
  readonly storeTimestamp: number
  /** Of a message that waited: log position of the record that it waited as. */
  readonly origin?: number | undefined
  readonly body: Uint8Array
}

/** What one queue says of itself. */
export interface QueueRange {
  readonly topic: string
  readonly queueId: number
  readonly minOffset: number
  readonly maxOffset: number
}

export interface History {
  readonly acknowledged: readonly Acknowledged[]
  /** Queue by queue, each in the order in which it was read. */
  readonly found: readonly Found[]
  readonly queues: readonly QueueRange[]
  /** Ids whose handler returned; none for a history without consumers. */
  readonly consumed: ReadonlySet<string>
  /** What a consumer was given, by place: a message that is seen once must stay. */
  readonly delivered: ReadonlyMap<string, string>
}

const WORDS_BYTES = 32

/** The body that belongs to an id: the id, then bytes that follow from it. What is altered anywhere is seen. */
export function bodyOf(id: string, bytes: number): Buffer {
  const head = Buffer.from(`${id}|`)
  const body = Buffer.alloc(Math.max(bytes, head.length))
  let word = createHash('sha256').update(id).digest()
  for (let at = 0; at < body.length; at += WORDS_BYTES) {
    word.copy(body, at, 0, Math.min(WORDS_BYTES, body.length - at))
    // A new word now and then: bodies compress, as real ones do.
    if (at % 256 === 0) word = createHash('sha256').update(word).digest()
  }
  head.copy(body)
  return body
}

export const idOf = (body: Uint8Array): string => {
  const end = body.indexOf(0x7c)
  return end < 0 ? '' : Buffer.from(body.subarray(0, end)).toString()
}

/** `ordered-lane-number`: messages of one lane are sent one after the other. Undefined for those without an order. */
export function orderOf(id: string): { readonly lane: string; readonly number: number } | undefined {
  const match = /^(ordered-\w+)-(\d+)$/.exec(id)
  return match ? { lane: match[1] as string, number: Number(match[2]) } : undefined
}

export const place = (m: { readonly topic: string; readonly queueId: number; readonly queueOffset: number }): string =>
  `${m.topic}-${m.queueId}@${m.queueOffset}`
const queueKey = (m: { readonly topic: string; readonly queueId: number }): string => `${m.topic}-${m.queueId}`

/** Sentences, one per broken promise; empty when all were kept. */
export function brokenPromises(history: History): string[] {
  return [
    ...lostOrMoved(history),
    ...altered(history),
    ...outOfOrder(history),
    ...holes(history),
    ...unconsumed(history),
    ...vanished(history),
    ...deliveredTwice(history),
  ]
}

function lostOrMoved({ acknowledged, found }: History): string[] {
  const byPlace = new Map(found.map((message) => [place(message), message]))
  const ids = new Set(found.map((message) => message.id))
  const wrong: string[] = []
  const promised = new Map<string, string>()
  for (const ack of acknowledged) {
    if (ack.isDelayed) {
      if (!ids.has(ack.id)) wrong.push(`lost: the delayed message ${ack.id} is in no queue of ${ack.topic}`)
      continue
    }
    const other = promised.get(place(ack))
    if (other !== undefined) wrong.push(`promised twice: ${place(ack)} to ${other} and to ${ack.id}`)
    promised.set(place(ack), ack.id)
    const there = byPlace.get(place(ack))
    if (there === undefined) wrong.push(`lost: ${ack.id} was acknowledged at ${place(ack)}, where nothing is`)
    else if (there.id !== ack.id) wrong.push(`moved: ${ack.id} was acknowledged at ${place(ack)}, where ${there.id} is`)
    else if (there.physicalOffset !== ack.physicalOffset)
      wrong.push(`moved: ${ack.id} was acknowledged at log position ${ack.physicalOffset} and lies at ${there.physicalOffset}`)
  }
  return wrong
}

function altered({ found }: History): string[] {
  return found
    .filter(({ id, body }) => !Buffer.from(body).equals(bodyOf(id, body.length)))
    .map((message) => `altered: the body of ${message.id} at ${place(message)} is not what was sent`)
}

function outOfOrder({ found }: History): string[] {
  const wrong: string[] = []
  const last = new Map<string, Found>()
  const lastNumber = new Map<string, number>()
  for (const message of found) {
    const before = last.get(queueKey(message))
    if (before !== undefined && before.physicalOffset >= message.physicalOffset)
      wrong.push(`order: ${place(message)} lies before ${place(before)} in the log`)
    if (before !== undefined && before.storeTimestamp > message.storeTimestamp)
      wrong.push(`order: ${place(message)} was stored before ${place(before)}`)
    last.set(queueKey(message), message)
    // A message that failed and came back has no order any more.
    const order = message.topic.startsWith(RETRY_PREFIX) ? undefined : orderOf(message.id)
    if (order === undefined) continue
    const number = lastNumber.get(order.lane) ?? -1
    // Equal is a repeated attempt of the producer.
    if (order.number < number) wrong.push(`order: ${message.id} comes after number ${number} in ${queueKey(message)}`)
    if (order.number > number + 1) wrong.push(`lost: ${queueKey(message)} goes from number ${number} of ${order.lane} to ${order.number}`)
    lastNumber.set(order.lane, order.number)
  }
  return wrong
}

function holes({ found, queues }: History): string[] {
  const wrong: string[] = []
  const offsets = new Map<string, number[]>()
  for (const message of found) {
    const list = offsets.get(queueKey(message))
    if (list === undefined) offsets.set(queueKey(message), [message.queueOffset])
    else list.push(message.queueOffset)
  }
  for (const queue of queues) {
    const list = offsets.get(queueKey(queue)) ?? []
    let expected = queue.minOffset
    for (const offset of list) {
      if (offset !== expected) wrong.push(`hole: ${queueKey(queue)} goes on with ${offset} where ${expected} is due`)
      expected = offset + 1
    }
    if (expected !== queue.maxOffset)
      wrong.push(`hole: ${queueKey(queue)} ends before ${expected} and says that it ends before ${queue.maxOffset}`)
  }
  return wrong
}

function unconsumed({ acknowledged, consumed }: History): string[] {
  if (consumed.size === 0) return []
  return acknowledged.filter(({ id }) => !consumed.has(id)).map((ack) => `not consumed: ${ack.id}, acknowledged at ${place(ack)}`)
}

function vanished({ found, delivered }: History): string[] {
  const byPlace = new Map(found.map((message) => [place(message), message.id]))
  return [...delivered]
    .filter(([at, id]) => byPlace.get(at) !== id)
    .map(([at, id]) => `vanished: a consumer was given ${id} at ${at}, where ${byPlace.get(at) ?? 'nothing'} is`)
}

/** A message that waited comes once, however often whoever delivers it is killed. A producer's repeated attempt is another message. */
function deliveredTwice({ found }: History): string[] {
  const byOrigin = new Map<number, Found>()
  const wrong: string[] = []
  for (const message of found) {
    if (message.origin === undefined || message.origin === 0) continue
    const before = byOrigin.get(message.origin)
    if (before === undefined) byOrigin.set(message.origin, message)
    else wrong.push(`twice: ${message.id} waited at log position ${message.origin} and is at ${place(before)} and at ${place(message)}`)
  }
  return wrong
}

/** Which offsets of a queue were consumed, as a set that is small while they come about in order. */
export class ConsumedOffsets {
  /** All below were consumed. */
  #floor: number
  readonly #above = new Set<number>()

  constructor(floor = 0) {
    this.#floor = floor
  }

  /** The first offset that was not consumed. */
  get floor(): number {
    return this.#floor
  }

  add(offset: number): void {
    if (offset < this.#floor) return
    this.#above.add(offset)
    while (this.#above.delete(this.#floor)) this.#floor++
  }
}

/** A group that has committed `committed` will never see what is below again. */
export function skipped(group: string, queue: string, committed: number, consumed: ConsumedOffsets): string[] {
  return committed > consumed.floor
    ? [`skipped: ${group} has committed ${committed} in ${queue}, and ${consumed.floor} was never consumed`]
    : []
}
