import { PROPERTY, decodeRecords, formatProperties, javaStringHash } from '@skylarkmq/remoting/protocol'
import type { Clock, Log } from '@skylarkmq/runtime'
import type { AppendResult, MessageStore } from '@skylarkmq/store'
import type { Settings } from '../config.ts'
import { LIMITS } from '../limits.ts'
import { hostFlags } from '../processors/send-message.ts'
import type { SavedOrder } from './order-batch.ts'
import { POP_LOG_TOPIC } from './pop-topic.ts'

export const POP_LOG_QUEUE = 0
const TAG = 'pop'
/** Of one record. */
const EVENTS_MAX_BYTES = 128 * 1024

type QueueName = readonly [group: string, topic: string, queueId: number]

/** One change of the in-flight table. Applied in the order of the log they give the table again. */
export type PopEvent =
  /** Taken: offsets as distances from `start`; the next pop begins at `next`. */
  | readonly ['p', ...QueueName, popTime: number, invisibleTimeMs: number, start: number, next: number, distances: readonly number[]]
  /**
   * One message is in flight with these times: its invisible time was changed, or the event is written anew to shorten the log. What
   * told where the next pop begins may not be read any more, so this does.
   */
  | readonly ['h', ...QueueName, offset: number, popTime: number, invisibleTimeMs: number, next: number]
  /** Acknowledged, or moved to a retry or dead-letter topic. */
  | readonly ['d', ...QueueName, popTime: number, offsets: readonly number[]]
  /** The next pop begins at `next`, whatever was in flight from there on is forgotten. */
  | readonly ['m', ...QueueName, next: number]
  /** The group or the topic was deleted: nothing of it is in flight, and it has no place in the queue. */
  | readonly ['x', ...QueueName]
  /** The batch that is consumed in order, as it is now. */
  | readonly ['o', ...QueueName, batch: SavedOrder | null]

/** Where an event is stored. As long as anything in it counts, the log is read from there at a start. */
export interface EventRecord {
  /** -1 until it is stored. */
  queueOffset: number
  physicalOffset: number
  /** Entries of the table whose last word it has. */
  live: number
}

export interface PopLogDeps {
  readonly store: MessageStore
  readonly settings: Settings
  readonly clock: Clock
  readonly log: Log
  readonly uniqueId: () => string
  readonly storeHost: Uint8Array
}

/** Undefined: stored. Else why not. */
type OnLogged = (refused: string | undefined) => void

/**
 * The events of the in-flight table, as messages of an internal topic: the commit log is the only file that has to be right after a
 * crash. All events of a turn share a record, and their answers wait for it.
 */
export class PopLog {
  readonly #deps: PopLogDeps
  #events: PopEvent[] = []
  #waiting: OnLogged[] = []
  #record: EventRecord = emptyRecord()
  #isPlanned = false
  #missing = 0
  /** In the order of the log; done ones at the front are dropped. */
  #records: EventRecord[] = []
  #first = 0

  constructor(deps: PopLogDeps) {
    this.#deps = deps
  }

  /** First free offset of the log. */
  get end(): number {
    return this.#deps.store.maxOffset(POP_LOG_TOPIC, POP_LOG_QUEUE)
  }

  /** From where the log is read at the next start. */
  get replayFrom(): number {
    return this.#oldest()?.queueOffset ?? this.end
  }

  /** Records that `read` did not find where they had been, or could not understand. */
  get missing(): number {
    return this.#missing
  }

  /** Position in the commit log of what a start reads first; infinite when there is nothing. */
  get retainFrom(): number {
    return this.#oldest()?.physicalOffset ?? Number.POSITIVE_INFINITY
  }

  /** Adds an event to this turn's record. */
  add(event: PopEvent, onLogged?: OnLogged): EventRecord {
    if (!this.#merge(event)) this.#events.push(event)
    if (onLogged !== undefined) this.#waiting.push(onLogged)
    this.#plan()
    return this.#record
  }

  /** Resolves when everything so far is stored, or with the reason why it cannot be. */
  settled(): Promise<string | undefined> | undefined {
    if (this.#events.length === 0) return undefined
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** Hands this turn's events to the store; it writes them with the messages of the turn. */
  flush(): void {
    if (this.#events.length === 0) return
    const events = this.#events
    const waiting = this.#waiting
    const record = this.#record
    this.#events = []
    this.#waiting = []
    this.#record = emptyRecord()
    this.#records.push(record)
    const parts = bodiesOf(events)
    let left = parts.length
    let refused: string | undefined
    for (const body of parts) {
      this.#deps.store.append(this.#messageOf(body), this.#isSync, (result) => {
        refused ??= this.#stored(record, result)
        if (--left === 0) for (const done of waiting) done(refused)
      })
    }
  }

  get #isSync(): boolean {
    return this.#deps.settings.current.flushDiskType === 'SYNC_FLUSH'
  }

  /** An event is read again. */
  replayed(queueOffset: number, physicalOffset: number): EventRecord {
    const record = { queueOffset, physicalOffset, live: 0 }
    this.#records.push(record)
    return record
  }

  async *read(from: number): AsyncGenerator<{ readonly record: EventRecord; readonly events: readonly PopEvent[] }> {
    const { store, log } = this.#deps
    const end = this.end
    const tagsCode = javaStringHash(TAG)
    let offset = Math.max(0, Math.min(from, end), store.minOffset(POP_LOG_TOPIC, POP_LOG_QUEUE))
    let expected = offset
    while (offset < end) {
      const { body, nextOffset } = await store.read({
        topic: POP_LOG_TOPIC,
        queueId: POP_LOG_QUEUE,
        offset,
        maxMessages: LIMITS.scheduleMessages,
        maxBytes: LIMITS.scheduleBytes,
        entryFilter: (code) => code === tagsCode,
      })
      for (const message of decodeRecords(body)) {
        this.#missing += message.queueOffset - expected
        expected = message.queueOffset + 1
        try {
          const events = JSON.parse(Buffer.from(message.body).toString()) as readonly PopEvent[]
          yield { record: this.replayed(message.queueOffset, message.physicalOffset), events }
        } catch (error) {
          this.#missing++
          log.error('a record of what is in flight cannot be read; its messages are delivered again', {
            offset: message.queueOffset,
            error,
          })
        }
      }
      if (nextOffset <= offset) break
      offset = nextOffset
    }
    this.#missing += end - expected
  }

  #oldest(): EventRecord | undefined {
    const records = this.#records
    while (this.#first < records.length) {
      const record = records[this.#first] as EventRecord
      if (record.live > 0 && record.queueOffset >= 0) return record
      if (record.queueOffset < 0 && record.live > 0) {
        // Not stored: under way, or refused for good. Nothing behind it is older.
        return records.slice(this.#first).find((one) => one.live > 0 && one.queueOffset >= 0)
      }
      this.#first++
    }
    this.#records = []
    this.#first = 0
    return undefined
  }

  #stored(record: EventRecord, result: AppendResult): string | undefined {
    if (result.status !== 'ok' && result.status !== 'flush-timeout') return result.reason ?? result.status
    if (record.queueOffset < 0) {
      record.queueOffset = result.queueOffset
      record.physicalOffset = result.physicalOffset
    }
    if (this.#first > 1024 && this.#first * 2 > this.#records.length) {
      this.#records = this.#records.slice(this.#first)
      this.#first = 0
    }
    return undefined
  }

  /** Acknowledgements of one pop mostly come together. */
  #merge(event: PopEvent): boolean {
    const last = this.#events[this.#events.length - 1]
    if (event[0] !== 'd' || last?.[0] !== 'd') return false
    if (last[4] !== event[4] || last[3] !== event[3] || last[2] !== event[2] || last[1] !== event[1]) return false
    ;(last[5] as number[]).push(...event[5])
    return true
  }

  #plan(): void {
    if (this.#isPlanned) return
    this.#isPlanned = true
    this.#deps.clock.afterTurn(() => {
      this.#isPlanned = false
      if (this.#events.length === 0) return
      this.flush()
      this.#deps.store.commitTurn()
    })
  }

  #messageOf(body: Uint8Array) {
    const { clock, storeHost, uniqueId } = this.#deps
    const properties: [string, string][] = [
      [PROPERTY.TAGS, TAG],
      [PROPERTY.WAIT, 'false'],
      [PROPERTY.UNIQ_KEY, uniqueId()],
    ]
    return {
      topic: POP_LOG_TOPIC,
      queueId: POP_LOG_QUEUE,
      flag: 0,
      sysFlag: hostFlags(storeHost, storeHost),
      bornTimestamp: clock.now(),
      bornHost: storeHost,
      storeHost,
      reconsumeTimes: 0,
      preparedTransactionOffset: 0,
      body,
      properties: Buffer.from(formatProperties(properties)),
    }
  }
}

const emptyRecord = (): EventRecord => ({ queueOffset: -1, physicalOffset: -1, live: 0 })

function bodiesOf(events: readonly PopEvent[]): Buffer[] {
  const bodies: Buffer[] = []
  let texts: string[] = []
  let bytes = 0
  const close = (): void => {
    if (texts.length > 0) bodies.push(Buffer.from(`[${texts.join(',')}]`))
    texts = []
    bytes = 0
  }
  for (const event of events) {
    const text = JSON.stringify(event)
    if (bytes + text.length > EVENTS_MAX_BYTES) close()
    texts.push(text)
    bytes += text.length + 1
  }
  close()
  return bodies
}
