import { HALF_TOPIC, OP_HALF_TOPIC, PROPERTY, decodeRecords, formatProperties } from '@skylarkmq/remoting/protocol'
import type { Clock, Log } from '@skylarkmq/runtime'
import type { MessageStore, MetadataStore } from '@skylarkmq/store'
import type { ConsumerOffsets } from '../offsets/consumer-offsets.ts'
import { LIMITS } from '../limits.ts'
import { hostFlags } from '../processors/send-message.ts'
import { HALF_QUEUE } from './half-message.ts'

/** Apache's name for whoever follows both queues; the offsets are mirrored there for tools, and for an Apache broker. */
export const TRANSACTION_GROUP = 'CID_RMQ_SYS_TRANS'
const OP_TAG = 'd'
/** RocketMQ 5.3 `transactionOpMsgMaxSize`. */
const OP_BODY_BYTES = 4096
const ROW = 'transactions'

export interface TransactionLogDeps {
  readonly store: MessageStore
  readonly metadata: MetadataStore
  readonly offsets: ConsumerOffsets
  readonly clock: Clock
  readonly log: Log
  readonly uniqueId: () => string
  readonly storeHost: Uint8Array
}

interface SavedProgress {
  readonly half: number
  readonly op: number
  readonly checks: readonly (readonly [offset: number, checks: number])[]
}

interface OpMessage {
  readonly offset: number
  /** The last half message that it names. */
  readonly highest: number
}

/**
 * Which half messages have ended. The truth is in two queues, in Apache's format: the half queue, and the op queue whose messages name
 * ended half messages by their offsets (RocketMQ 5.3 `TransactionalMessageServiceImpl`). `#half` is the first that has not ended; the op
 * queue is read again from `#op` at a start, which is the first that names one from `#half` on.
 */
export class TransactionLog {
  readonly #deps: TransactionLogDeps
  /** Ended, from `#half` on. */
  readonly #ended = new Set<number>()
  readonly #checks = new Map<number, number>()
  /** A commit was begun in this life and its op message is not stored. */
  readonly #doubtful = new Set<number>()
  #opMessages: OpMessage[] = []
  #waiting: { readonly offset: number; readonly done: (isStored: boolean) => void }[] = []
  #half = 0
  #op = 0
  /** Half messages below were here before this start: a crash may have come between their commit and its op message. */
  #openedAt = 0

  constructor(deps: TransactionLogDeps) {
    this.#deps = deps
  }

  /** The first half message that has not ended, or the end of their queue. */
  get first(): number {
    return this.#half
  }

  get end(): number {
    return this.#deps.store.maxOffset(HALF_TOPIC, HALF_QUEUE)
  }

  isOpen(offset: number): boolean {
    return offset >= this.#half && offset < this.end && !this.#ended.has(offset)
  }

  /** True when the commit may be stored already though the message is open. */
  mayBeCommitted(offset: number): boolean {
    return offset < this.#openedAt || this.#doubtful.has(offset)
  }

  commitBegins(offset: number): void {
    this.#doubtful.add(offset)
  }

  /** Undefined before the first check of this broker: then it counts what the message says. */
  checks(offset: number): number | undefined {
    return this.#checks.get(offset)
  }

  countCheck(offset: number, checks: number): void {
    this.#checks.set(offset, checks)
  }

  /** Reads what the queues say since the progress that was saved. */
  async open(): Promise<void> {
    const { store, offsets } = this.#deps
    const saved = this.#saved()
    const half = saved?.half ?? offsets.get(TRANSACTION_GROUP, HALF_TOPIC, HALF_QUEUE) ?? 0
    const op = saved?.op ?? offsets.get(TRANSACTION_GROUP, OP_HALF_TOPIC, HALF_QUEUE) ?? 0
    this.#openedAt = this.end
    this.#half = Math.min(Math.max(half, store.minOffset(HALF_TOPIC, HALF_QUEUE), 0), this.#openedAt)
    for (const [offset, checks] of saved?.checks ?? []) this.#checks.set(offset, checks)
    await this.#readOps(op)
    this.#advance()
    const open = this.#openedAt - this.#half - this.#ended.size
    if (open > 0) this.#deps.log.info('transactions that had not ended were found', { count: open, firstOffset: this.#half })
  }

  async #readOps(from: number): Promise<void> {
    const { store } = this.#deps
    const end = store.maxOffset(OP_HALF_TOPIC, HALF_QUEUE)
    let offset = Math.min(Math.max(from, store.minOffset(OP_HALF_TOPIC, HALF_QUEUE), 0), end)
    this.#op = offset
    while (offset < end) {
      const result = await store.read({
        topic: OP_HALF_TOPIC,
        queueId: HALF_QUEUE,
        offset,
        maxMessages: LIMITS.scheduleMessages,
        maxBytes: LIMITS.scheduleBytes,
      })
      for (const message of decodeRecords(result.body)) {
        const named = offsetsIn(Buffer.from(message.body).toString('latin1')).filter((o) => o < this.#openedAt)
        for (const half of named) if (half >= this.#half) this.#ended.add(half)
        this.#opMessages.push({ offset: message.queueOffset, highest: named.reduce((a, b) => Math.max(a, b), -1) })
      }
      if (result.nextOffset <= offset) break
      offset = result.nextOffset
    }
  }

  /**
   * Marks a half message as ended. Resolves when its op message is stored (false: it could not be, and the message stays open). All that
   * end in one turn share one op message.
   */
  markEnded(offset: number): Promise<boolean> {
    return new Promise((done) => {
      this.#waiting.push({ offset, done })
      if (this.#waiting.length === 1) this.#deps.clock.afterTurn(() => this.#writeOps())
    })
  }

  #writeOps(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (let i = 0; i < waiting.length; ) {
      let body = ''
      const from = i
      while (i < waiting.length && body.length < OP_BODY_BYTES - 20) body += `${waiting[i++]?.offset},`
      this.#writeOp(body, waiting.slice(from, i))
    }
  }

  #writeOp(body: string, ended: readonly { readonly offset: number; readonly done: (isStored: boolean) => void }[]): void {
    const { store, clock, storeHost, uniqueId } = this.#deps
    const message = {
      topic: OP_HALF_TOPIC,
      queueId: HALF_QUEUE,
      flag: 0,
      sysFlag: hostFlags(storeHost, storeHost),
      bornTimestamp: clock.now(),
      bornHost: storeHost,
      storeHost,
      reconsumeTimes: 0,
      preparedTransactionOffset: 0,
      body: Buffer.from(body),
      properties: Buffer.from(
        formatProperties([
          [PROPERTY.TAGS, OP_TAG],
          [PROPERTY.WAIT, 'false'],
          [PROPERTY.UNIQ_KEY, uniqueId()],
        ]),
      ),
    }
    store.append(message, false, (result) => {
      const isStored = result.status === 'ok' || result.status === 'flush-timeout'
      if (isStored) {
        const highest = ended.reduce((max, { offset }) => Math.max(max, offset), -1)
        this.#opMessages.push({ offset: result.queueOffset, highest })
        for (const { offset } of ended) this.#forget(offset)
        this.#advance()
      } else this.#deps.log.error('the end of transactions could not be noted; they are asked about again', { reason: result.reason })
      for (const { done } of ended) done(isStored)
    })
  }

  #forget(offset: number): void {
    if (offset >= this.#half) this.#ended.add(offset)
    this.#checks.delete(offset)
    this.#doubtful.delete(offset)
  }

  #advance(): void {
    while (this.#ended.delete(this.#half)) this.#half++
    let past = 0
    while (past < this.#opMessages.length && (this.#opMessages[past] as OpMessage).highest < this.#half) past++
    if (past === 0) return
    this.#op = (this.#opMessages[past - 1] as OpMessage).offset + 1
    this.#opMessages = this.#opMessages.slice(past)
  }

  /** Half messages that the log no longer keeps have ended. */
  dropBelow(minOffset: number): void {
    if (minOffset <= this.#half) return
    for (let offset = this.#half; offset < minOffset; offset++) this.#forget(offset)
    this.#advance()
  }

  save(): void {
    const { metadata, offsets } = this.#deps
    const progress: SavedProgress = { half: this.#half, op: this.#op, checks: [...this.#checks] }
    metadata.set('kv', ROW, JSON.stringify(progress))
    offsets.commit(TRANSACTION_GROUP, HALF_TOPIC, HALF_QUEUE, this.#half)
    offsets.commit(TRANSACTION_GROUP, OP_HALF_TOPIC, HALF_QUEUE, this.#op)
  }

  #saved(): SavedProgress | undefined {
    const text = this.#deps.metadata.get('kv', ROW)
    return text === undefined ? undefined : (JSON.parse(text) as SavedProgress)
  }
}

const offsetsIn = (body: string): number[] =>
  body
    .split(',')
    .filter((text) => /^\d{1,15}$/.test(text))
    .map(Number)
