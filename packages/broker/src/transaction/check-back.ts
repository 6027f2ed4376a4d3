import { CheckTransactionState, HALF_TOPIC, decodeRecords, offsetMessageId } from '@skylarkmq/remoting/protocol'
import type { Timer } from '@skylarkmq/runtime'
import { LIMITS } from '../limits.ts'
import { HALF_QUEUE, checksIn, halfMessageOf, recordForCheck } from './half-message.ts'
import type { HalfMessage } from './half-message.ts'
import type { TransactionDeps, TransactionService } from './transaction-service.ts'

const HOUR_MS = 3_600_000
const READ_MESSAGES = 32

/**
 * Asks producers how transactions ended that nobody ended: every `transactionCheckInterval`, each one older than `transactionTimeOut`
 * (or than the immunity that its producer gave it), `transactionCheckMax` times at most (RocketMQ 5.3 `TransactionalMessageServiceImpl`).
 * Apache writes a half message again with each check; here it stays where it is and the count is kept beside it.
 */
export class CheckBack {
  readonly #deps: TransactionDeps
  readonly #transactions: TransactionService
  #timer: Timer | undefined
  #running: Promise<void> = Promise.resolve()
  #isClosed = false
  /** Which member of a group is asked next. */
  #turn = 0

  constructor(deps: TransactionDeps, transactions: TransactionService) {
    this.#deps = deps
    this.#transactions = transactions
  }

  start(): void {
    if (this.#isClosed) return
    this.#timer = this.#deps.clock.after(this.#deps.settings.current.transactionCheckInterval, () => {
      void this.round().then(() => this.start())
    })
  }

  /** Waits for the round under way. */
  close(): Promise<void> {
    this.#isClosed = true
    this.#timer?.cancel()
    return this.#running
  }

  round(): Promise<void> {
    this.#running = this.#running
      .then(() => this.#round())
      .catch((error: unknown) => this.#deps.log.error('looking for unended transactions failed; it is tried again', { error }))
    return this.#running
  }

  async #round(): Promise<void> {
    const { log } = this.#transactions
    const { store } = this.#deps
    const end = log.end
    log.dropBelow(store.minOffset(HALF_TOPIC, HALF_QUEUE))
    for (let offset = log.first; offset < end && !this.#isClosed; ) {
      if (!log.isOpen(offset)) {
        offset++
        continue
      }
      const result = await store.read({
        topic: HALF_TOPIC,
        queueId: HALF_QUEUE,
        offset,
        maxMessages: READ_MESSAGES,
        maxBytes: LIMITS.scheduleBytes,
      })
      const messages = decodeRecords(result.body)
      for (const message of messages) {
        if (message.queueOffset >= end || !log.isOpen(message.queueOffset)) continue
        const half = halfMessageOf(message)
        if (half === undefined) await this.#leaveOut(message.queueOffset)
        else if ((await this.#look(half)) === 'stop') {
          log.save()
          return
        }
      }
      if (result.nextOffset <= offset) break
      offset = result.nextOffset
      // Others have their turn.
      await new Promise<void>((resolve) => this.#deps.clock.afterTurn(resolve))
    }
    log.save()
  }

  /** 'stop': this one and all after it are too young. */
  async #look(half: HalfMessage): Promise<'stop' | 'next'> {
    const { clock, settings, log: trace } = this.#deps
    const { log } = this.#transactions
    const { transactionTimeOut, transactionCheckMax, fileReservedTime } = settings.current
    if (this.#transactions.isEnding(half.offset) || (await this.#transactions.settleInterrupted(half))) return 'next'
    // Below zero when the wall clock was set back: then it is asked rather than left for hours.
    const age = clock.now() - half.stored.storeTimestamp
    const checks = log.checks(half.offset) ?? checksIn(half)
    if (checks >= transactionCheckMax || age > fileReservedTime * HOUR_MS) {
      trace.warn('a transaction that nobody ended is put aside in TRANS_CHECK_MAX_TIME_TOPIC', {
        ...described(half),
        checks,
        ageMs: age,
      })
      await this.#transactions.discard(half, checks)
      return 'next'
    }
    if (half.immunityMs !== undefined) {
      if (age >= 0 && age < half.immunityMs) return 'next'
    } else if (age >= 0 && age < transactionTimeOut) return 'stop'
    log.countCheck(half.offset, checks + 1)
    this.#ask(half, checks + 1)
    return 'next'
  }

  /** One-way, to one member of the group; it answers with END_TRANSACTION. */
  #ask(half: HalfMessage, checks: number): void {
    const live = this.#deps.producers.members(half.group).filter(({ connection }) => !connection.isClosed)
    const member = live[this.#turn++ % Math.max(1, live.length)]
    if (member === undefined) {
      this.#deps.log.warn('no producer of the group is connected that could say how a transaction ended', { ...described(half), checks })
      return
    }
    const header = {
      tranStateTableOffset: half.offset,
      commitLogOffset: half.physicalOffset,
      msgId: half.transactionId,
      transactionId: half.transactionId,
      offsetMsgId: offsetMessageId(half.stored.storeHostBytes, half.physicalOffset),
      topic: HALF_TOPIC,
    }
    member.connection.notify(CheckTransactionState, header, recordForCheck(half, checks))
  }

  /** A message in the half queue that no transaction can end: it does not say where it goes. */
  async #leaveOut(offset: number): Promise<void> {
    this.#deps.log.error('a half message is left out: it does not say where it goes', { offset })
    await this.#transactions.log.markEnded(offset)
  }
}

const described = (half: HalfMessage) => ({
  group: half.group,
  topic: half.realTopic,
  transactionId: half.transactionId,
  offset: half.offset,
})
