import { HALF_TOPIC, PROPERTY, SYS_FLAG, TRANS_CHECK_MAX_TIME_TOPIC, decodeRecord } from '@skylarkmq/remoting/protocol'
import type { EndTransaction, RequestOf, StoredMessage } from '@skylarkmq/remoting/protocol'
import type { Reply } from '@skylarkmq/remoting'
import type { AppendResult, MessageStore, MessageToStore } from '@skylarkmq/store'
import { SUCCESS, plain, refuse, shown } from '../answers.ts'
import type { Refusal } from '../answers.ts'
import { isRefusal } from '../processors/send-checks.ts'
import { refusalOf } from '../processors/send-message.ts'
import { waiting } from '../timer/timer-record.ts'
import { TIMER_REQUESTS, TIMER_TOPIC, scheduleOf } from '../timer/timer-request.ts'
import type { TopicConfigs } from '../topics/topic-configs.ts'
import type { Settings } from '../config.ts'
import type { TransactionLogDeps } from './transaction-log.ts'
import { TransactionLog } from './transaction-log.ts'
import { CheckBack } from './check-back.ts'
import type { ProducerGroups } from '../groups/producer-groups.ts'
import { HALF_QUEUE, committed, discarded, halfMessageOf, readHalfMessage, resumed } from './half-message.ts'
import type { HalfMessage } from './half-message.ts'

export interface TransactionDeps extends TransactionLogDeps {
  readonly store: MessageStore
  readonly topics: TopicConfigs
  readonly settings: Settings
  readonly producers: ProducerGroups
}

const NOTHING_TO_RESUME = `Put message back to ${HALF_TOPIC} failed. It is no half message that waits or was put aside in ${TRANS_CHECK_MAX_TIME_TOPIC}: its transaction has ended`

/** Copies of one key that a search for a commit looks at: the newest. */
const SAME_KEY = 64

/**
 * Transactions: half messages wait in a queue of their own until their producer says how they end, or is asked (`CheckBack`).
 *
 * A commit is stored first, then the op message that says that its half message has ended. The other way round a crash between the two
 * would lose the message; this way it leaves a half message that looks open. Whoever ends it then finds the commit by the half message's
 * position, which it carries, and only adds the op message: delivered once.
 */
export class TransactionService {
  readonly log: TransactionLog
  readonly #deps: TransactionDeps
  readonly #checkBack: CheckBack
  /** What is being ended: a second request for the same half message waits for the first. */
  readonly #ending = new Map<number, Promise<unknown>>()

  constructor(deps: TransactionDeps) {
    this.#deps = deps
    this.log = new TransactionLog(deps)
    this.#checkBack = new CheckBack(deps, this)
  }

  /** Before requests are taken: until then nobody knows what has ended. */
  open(): Promise<void> {
    return this.log.open()
  }

  start(): void {
    this.#checkBack.start()
  }

  async close(): Promise<void> {
    await this.#checkBack.close()
    await Promise.allSettled(this.#ending.values())
    this.log.save()
  }

  isEnding(offset: number): boolean {
    return this.#ending.has(offset)
  }

  /** Looks once at all that are open. For the timer, and for tests. */
  checkAll(): Promise<void> {
    return this.#checkBack.round()
  }

  commit(half: HalfMessage): Promise<Reply<never>> {
    return this.#alone(half.offset, () => this.#commit(half))
  }

  rollBack(half: HalfMessage): Promise<Reply<never>> {
    return this.#alone(half.offset, () => this.#rollBack(half))
  }

  /** Puts a message aside that nobody ended. */
  discard(half: HalfMessage, checks: number): Promise<void> {
    return this.#alone(half.offset, async () => {
      if (!this.log.isOpen(half.offset)) return
      this.#deps.topics.ensure(TRANS_CHECK_MAX_TIME_TOPIC, 1)
      const result = await this.#append(discarded(half, checks, this.#deps.storeHost), false)
      if (refusalOf(result) === undefined) await this.log.markEnded(half.offset)
    })
  }

  /**
   * An operator has the producer asked again, from the first check on (RocketMQ 5.3 `AdminBrokerProcessor#resumeCheckHalfMessage`): of a
   * message that waits, or one that was put aside because nobody could say. That one waits once more, however often it is resumed.
   */
  async resume(message: StoredMessage): Promise<Reply<never>> {
    const half = halfMessageOf(message)
    if (half !== undefined && this.log.isOpen(half.offset)) {
      this.log.countCheck(half.offset, 0)
      return SUCCESS
    }
    const asideAt = half === undefined ? message.physicalOffset : this.#find(half, TRANS_CHECK_MAX_TIME_TOPIC)
    const aside = asideAt === undefined ? undefined : this.#read(asideAt)
    if (asideAt === undefined || aside?.topic !== TRANS_CHECK_MAX_TIME_TOPIC) return refuse('ILLEGAL_OPERATION', NOTHING_TO_RESUME)
    return this.#alone(-1 - asideAt, async () => {
      const again = this.#resumedFrom(asideAt)
      if (again !== undefined) return this.resume(again.stored)
      const first = readHalfMessage(this.#deps.store, aside.preparedTransactionOffset)
      const isSound = halfMessageOf({ ...aside, topic: HALF_TOPIC, queueId: HALF_QUEUE }) !== undefined
      if (!isSound || (first !== undefined && this.#commitOf(first) !== undefined)) return refuse('ILLEGAL_OPERATION', NOTHING_TO_RESUME)
      const refused = refusalOf(await this.#append(resumed(aside, this.#deps.storeHost), true))
      if (refused === undefined) return SUCCESS
      return { ...refused, remark: `Put message back to ${HALF_TOPIC} failed. ${refused.remark}` }
    })
  }

  /** The half message that was made of one that was put aside. */
  #resumedFrom(asideAt: number): HalfMessage | undefined {
    const transactionId = this.#read(asideAt)?.properties.get(PROPERTY.UNIQ_KEY) ?? ''
    const at = this.#find({ transactionId, physicalOffset: asideAt }, HALF_TOPIC)
    return at === undefined ? undefined : readHalfMessage(this.#deps.store, at)
  }

  #read(physicalOffset: number): StoredMessage | undefined {
    const record = this.#deps.store.readRecordAt(physicalOffset)
    return record === undefined ? undefined : decodeRecord(record)
  }

  /** True when a crash came between the commit and its op message; then that is added. */
  async settleInterrupted(half: HalfMessage): Promise<boolean> {
    if (!this.log.mayBeCommitted(half.offset) || this.#commitOf(half) === undefined) return false
    await this.#alone(half.offset, async () => this.log.isOpen(half.offset) && (await this.log.markEnded(half.offset)))
    return true
  }

  async #commit(half: HalfMessage): Promise<Reply<never>> {
    const { offset } = half
    if (!this.log.isOpen(offset)) return this.#commitLate(half)
    if (this.log.mayBeCommitted(offset) && this.#commitOf(half) !== undefined) {
      await this.log.markEnded(offset)
      return SUCCESS
    }
    this.log.commitBegins(offset)
    const refused = await this.#deliver(half)
    if (refused !== undefined) return refused
    await this.log.markEnded(offset)
    return SUCCESS
  }

  /** A message that was put aside unended is still there: a commit that comes at last is not lost. */
  async #commitLate(half: HalfMessage): Promise<Reply<never>> {
    if (this.#commitOf(half) !== undefined) return SUCCESS
    const aside = this.#find(half, TRANS_CHECK_MAX_TIME_TOPIC)
    if (aside !== undefined) {
      const again = this.#resumedFrom(aside)
      return again === undefined ? ((await this.#deliver(half)) ?? SUCCESS) : this.commit(again)
    }
    return refuse('ILLEGAL_OPERATION', `transaction ${shown(half.transactionId)} was rolled back already; it cannot be committed any more`)
  }

  async #rollBack(half: HalfMessage): Promise<Reply<never>> {
    const isOpen = this.log.isOpen(half.offset)
    const isCommitted = (!isOpen || this.log.mayBeCommitted(half.offset)) && this.#commitOf(half) !== undefined
    if (isOpen) await this.log.markEnded(half.offset)
    return isCommitted
      ? refuse('ILLEGAL_OPERATION', `transaction ${shown(half.transactionId)} was committed already; its message is delivered`)
      : SUCCESS
  }

  async #deliver(half: HalfMessage): Promise<Refusal | undefined> {
    const waits = half.stored.properties.get(PROPERTY.WAIT) !== 'false'
    return refusalOf(await this.#append(this.#committed(half), waits))
  }

  /** A half message may ask for a time of its own; one that is relative counts from now on. */
  #committed(half: HalfMessage): MessageToStore {
    const { storeHost, settings, clock } = this.#deps
    const message = committed(half, storeHost)
    // What it asks for was accepted with the half message.
    const anyTime = { ...settings.current, timerWheelEnable: true, timerMaxDelaySec: Number.MAX_SAFE_INTEGER }
    const schedule = scheduleOf(half.stored.properties, clock.now(), anyTime)
    return schedule === undefined || isRefusal(schedule) ? message : waiting(message, half.stored.properties, schedule)
  }

  #append(message: MessageToStore, waits: boolean): Promise<AppendResult> {
    const isSync = this.#deps.settings.current.flushDiskType === 'SYNC_FLUSH'
    return new Promise((resolve) => this.#deps.store.append(message, waits && isSync, resolve))
  }

  /** In its topic, or where it waits for its time. */
  #commitOf(half: HalfMessage): number | undefined {
    return this.#find(half, half.realTopic, SYS_FLAG.TRANSACTION_COMMIT) ?? this.#findWaiting(half)
  }

  #findWaiting(half: HalfMessage): number | undefined {
    const isTimed = TIMER_REQUESTS.some((name) => half.stored.properties.has(name))
    return isTimed ? this.#find(half, TIMER_TOPIC, SYS_FLAG.TRANSACTION_COMMIT) : undefined
  }

  /** Where the copy of this very half message lies in another topic. */
  #find(
    half: Pick<HalfMessage, 'transactionId' | 'physicalOffset'>,
    topic: string,
    transaction: number = SYS_FLAG.TRANSACTION_NONE,
  ): number | undefined {
    return this.#deps.store
      .queryByKey(topic, half.transactionId, { max: SAME_KEY, beginMs: 0, endMs: Number.MAX_SAFE_INTEGER })
      .find((physicalOffset) => {
        const message = this.#read(physicalOffset)
        return (
          message?.topic === topic &&
          message.preparedTransactionOffset === half.physicalOffset &&
          (message.sysFlag & SYS_FLAG.TRANSACTION_MASK) === transaction
        )
      })
  }

  async #alone<T>(offset: number, task: () => Promise<T>): Promise<T> {
    for (let other = this.#ending.get(offset); other !== undefined; other = this.#ending.get(offset)) await other.catch(() => {})
    const running = task()
    this.#ending.set(offset, running)
    try {
      return await running
    } finally {
      this.#ending.delete(offset)
    }
  }
}

type EndHeader = RequestOf<typeof EndTransaction>

/** END_TRANSACTION (RocketMQ 5.3 `EndTransactionProcessor`). What is neither commit nor rollback changes nothing and has no answer. */
export function endTransaction({ transactions, store, clock, log }: EndDeps) {
  return async (header: EndHeader): Promise<Reply<never> | undefined> => {
    const { commitOrRollback } = header
    const isCommit = commitOrRollback === SYS_FLAG.TRANSACTION_COMMIT
    if (!isCommit && commitOrRollback !== SYS_FLAG.TRANSACTION_ROLLBACK) {
      log.debug('a producer does not know yet how its transaction ends', {
        group: header.producerGroup,
        transactionId: header.transactionId,
      })
      return undefined
    }
    const half = readHalfMessage(store, header.commitLogOffset)
    const wrong = half === undefined ? notFound(header) : (tooLate(header, half, clock.now()) ?? mismatch(header, half))
    if (wrong !== undefined || half === undefined) return wrong
    return isCommit ? transactions.commit(half) : transactions.rollBack(half)
  }
}

export interface EndDeps extends Pick<TransactionDeps, 'store' | 'clock' | 'log'> {
  readonly transactions: TransactionService
}

const notFound = (header: EndHeader): Refusal =>
  refuse(
    'SYSTEM_ERROR',
    `Find prepared transaction message failed: no half message begins at commitLogOffset=${header.commitLogOffset}; it may have expired`,
  )

/**
 * A message with an immunity of its own is asked about once that has passed; a verdict of the sender that comes later could contradict
 * the one of the check (RocketMQ 5.3 `EndTransactionProcessor#rejectCommitOrRollback`). Counted from the time of storing: producers'
 * clocks may be wrong.
 */
function tooLate(header: EndHeader, half: HalfMessage, now: number): Refusal | undefined {
  if (header.fromTransactionCheck || half.immunityMs === undefined || now - half.stored.storeTimestamp <= half.immunityMs) return undefined
  return refuse(
    'ILLEGAL_OPERATION',
    `transaction ${shown(half.transactionId)} ends after its ${PROPERTY.CHECK_IMMUNITY_TIME_IN_SECONDS} of ${half.immunityMs / 1000} s; it counts what the producer answers when the broker asks`,
  )
}

/** In Apache's order, with its beginnings. */
function mismatch(header: EndHeader, half: HalfMessage): Refusal | undefined {
  if (half.group !== header.producerGroup) {
    return refuse(
      'SYSTEM_ERROR',
      `The producer group wrong: transaction ${shown(half.transactionId)} is not of group ${plain(header.producerGroup)}`,
    )
  }
  if (half.offset !== header.tranStateTableOffset) {
    return refuse('SYSTEM_ERROR', `The transaction state table offset wrong: it is ${half.offset}, not ${header.tranStateTableOffset}`)
  }
  if (half.physicalOffset !== header.commitLogOffset) {
    return refuse('SYSTEM_ERROR', `The commit log offset wrong: it is ${half.physicalOffset}, not ${header.commitLogOffset}`)
  }
  return undefined
}
