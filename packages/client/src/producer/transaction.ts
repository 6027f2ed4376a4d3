import type { StoredMessage } from '@skylarkmq/remoting/protocol'
import type { ClientCore } from '../core/types.ts'
import type { SendReceipt } from './types.ts'
import { expectSuccess } from '@skylarkmq/remoting'
import {
  CheckTransactionState,
  EndTransaction,
  PROPERTY,
  RocketError,
  SYS_FLAG,
  decodeRecord,
  parseOffsetMessageId,
} from '@skylarkmq/remoting/protocol'
import { withNamespace } from '../namespace.ts'
import { ReceivedMessage } from '../consumer/received-message.ts'

/** How a transaction ends. 'unknown': the broker asks later, through `onCheck`. */
export type Outcome = 'commit' | 'rollback' | 'unknown'

export type TransactionWork = (half: SendReceipt) => Outcome | Promise<Outcome>
export type TransactionCheck = (message: ReceivedMessage) => Outcome | Promise<Outcome>

export interface TransactionReceipt extends SendReceipt {
  readonly outcome: Outcome
  /** false: the broker has not confirmed the end. It will ask, and is told the same then. */
  readonly isConfirmed: boolean
}

export interface TransactionParts {
  readonly core: ClientCore
  readonly group: string
  readonly onCheck: TransactionCheck | undefined
  readonly timeoutMs: number
  /** A transaction has ended, as the broker confirmed. */
  readonly onEnded?: ((half: EndedHalf, outcome: 'commit' | 'rollback') => void) | undefined
}

export type EndedHalf = Pick<EndingHalf, 'target' | 'messageId' | 'topic' | 'isCheck'>

interface EndingHalf {
  /** Broker name or address. */
  readonly target: string
  readonly queueOffset: number
  readonly physicalOffset: number
  readonly messageId: string
  readonly topic: string
  readonly isCheck: boolean
}

/** Where a transaction of this client stands, by its message's id. */
type State = 'running' | { readonly outcome: Outcome; readonly isConfirmed: boolean }

/** Ended transactions that are remembered for checks of the broker. */
const REMEMBERED = 10_000
const END_ATTEMPTS = 3
const END_PAUSE_MS = 200
const END_CODE = { commit: SYS_FLAG.TRANSACTION_COMMIT, rollback: SYS_FLAG.TRANSACTION_ROLLBACK } as const

/** Of all producers of a client: the broker asks any member of the group. */
const statesOf = new WeakMap<ClientCore, Map<string, State>>()

/** What makes a message a half message (RocketMQ 5.3 `TransactionMQProducer#sendMessageInTransaction`). */
export function transactionProperties(group: string, checkAfterMs: number | undefined): [string, string][] {
  const properties: [string, string][] = [
    [PROPERTY.TRAN_MSG, 'true'],
    [PROPERTY.PGROUP, group],
  ]
  if (checkAfterMs !== undefined) {
    if (!Number.isFinite(checkAfterMs) || checkAfterMs < 0)
      throw new RocketError(`checkAfterMs is ${checkAfterMs}; it must be 0 or more`, { code: 'BAD_ARGUMENT', group })
    properties.push([PROPERTY.CHECK_IMMUNITY_TIME_IN_SECONDS, String(Math.ceil(checkAfterMs / 1000))])
  }
  return properties
}

/** Transactions of one producer: runs their work, ends them, and answers the broker's questions. */
export class Transactions {
  readonly #parts: TransactionParts
  readonly #states: Map<string, State>
  readonly #running = new Set<Promise<unknown>>()
  readonly #stopListening: () => void

  constructor(parts: TransactionParts) {
    this.#parts = parts
    let states = statesOf.get(parts.core)
    if (!states) statesOf.set(parts.core, (states = new Map()))
    this.#states = states
    this.#stopListening = parts.core.onNotification(CheckTransactionState, (request, { address, body }) => {
      const stored = decodeRecord(body)
      if (!stored || stored.properties.get(PROPERTY.PGROUP) !== parts.group || !this.#canAnswer(stored)) return undefined
      const half: EndingHalf = {
        target: address,
        queueOffset: request.tranStateTableOffset,
        physicalOffset: request.commitLogOffset,
        messageId: request.transactionId ?? request.msgId ?? '',
        topic: request.topic ?? stored.topic,
        isCheck: true,
      }
      void this.#check(half, stored)
      return { code: 0 }
    })
  }

  /** Resolves when no transaction is running. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#running)
  }

  close(): void {
    this.#stopListening()
  }

  run(half: SendReceipt, work: TransactionWork): Promise<TransactionReceipt> {
    const running = this.#run(half, work)
    this.#running.add(running)
    const forget = () => this.#running.delete(running)
    running.then(forget, forget)
    return running
  }

  async #run(half: SendReceipt, work: TransactionWork): Promise<TransactionReceipt> {
    const id = half.messageId
    this.#states.set(id, 'running')
    let outcome: Outcome
    try {
      // Stored, but not as safely as set: no work is begun on it (RocketMQ 5.3 `DefaultMQProducerImpl#sendMessageInTransaction`).
      outcome = half.status === 'OK' ? checked(await work(half), 'the work of a transaction', this.#parts.group) : 'rollback'
    } catch (error) {
      // Nobody knows what the work has done: the broker will ask `onCheck`.
      this.#states.delete(id)
      throw error
    }
    if (outcome === 'unknown') {
      this.#states.delete(id)
      return { ...half, outcome, isConfirmed: false }
    }
    this.#remember(id, { outcome, isConfirmed: false })
    const place = parseOffsetMessageId(half.offsetMessageId)
    const isConfirmed =
      place !== undefined &&
      (await this.#end(
        {
          target: half.queue.brokerName,
          queueOffset: half.queueOffset,
          physicalOffset: place.physicalOffset,
          messageId: half.transactionId ?? id,
          topic: withNamespace(this.#parts.core.namespace, half.queue.topic),
          isCheck: false,
        },
        outcome,
      ))
    this.#remember(id, { outcome, isConfirmed })
    return { ...half, outcome, isConfirmed }
  }

  #canAnswer(stored: StoredMessage): boolean {
    if (this.#parts.onCheck || this.#states.has(stored.properties.get(PROPERTY.UNIQ_KEY) ?? '')) return true
    this.#parts.core.log.warn('a broker asks how a transaction ended, and the producer has no onCheck to answer', {
      group: this.#parts.group,
      messageId: stored.properties.get(PROPERTY.UNIQ_KEY),
    })
    return false
  }

  async #check(half: EndingHalf, stored: StoredMessage): Promise<void> {
    const { core, group, onCheck } = this.#parts
    const state = this.#states.get(stored.properties.get(PROPERTY.UNIQ_KEY) ?? '')
    // Its work goes on here: whatever `onCheck` would find now may be wrong a moment later.
    if (state === 'running') return
    try {
      // A confirmed end was of another copy, which a repeated send has left: this one must not be delivered too.
      const known = state && (state.isConfirmed ? 'rollback' : state.outcome)
      const outcome =
        known ?? checked(await onCheck?.(new ReceivedMessage(stored, this.#brokerAt(half.target), core.namespace)), 'onCheck', group)
      if (outcome !== 'unknown') await this.#end(half, outcome)
    } catch (error) {
      core.log.error('onCheck failed; the broker asks again', { group, messageId: half.messageId, error })
    }
  }

  /** True when the broker has confirmed it. */
  async #end(half: EndingHalf, outcome: 'commit' | 'rollback'): Promise<boolean> {
    const { core, group, timeoutMs } = this.#parts
    const header = {
      producerGroup: group,
      tranStateTableOffset: half.queueOffset,
      commitLogOffset: half.physicalOffset,
      commitOrRollback: END_CODE[outcome],
      fromTransactionCheck: half.isCheck,
      msgId: half.messageId,
      transactionId: half.messageId,
      topic: half.topic,
    }
    for (let attempt = 1; ; attempt++) {
      try {
        expectSuccess(await core.invoke(half.target, EndTransaction, header, { timeoutMs }))
        this.#parts.onEnded?.(half, outcome)
        return true
      } catch (error) {
        const isLast = attempt === END_ATTEMPTS || !(error instanceof RocketError) || !isWorthRepeating(error)
        if (isLast) {
          core.log.warn('the end of a transaction was not confirmed; the broker will ask about it', { group, outcome, ...half, error })
          return false
        }
        await core.clock.sleep(END_PAUSE_MS * attempt)
      }
    }
  }

  #brokerAt(address: string): string {
    const { core } = this.#parts
    return core.brokerNames.find((name) => core.brokerAddress(name) === address) ?? ''
  }

  #remember(id: string, state: State): void {
    this.#states.delete(id)
    this.#states.set(id, state)
    if (this.#states.size <= REMEMBERED) return
    for (const [oldest, old] of this.#states) {
      if (old === 'running') continue
      this.#states.delete(oldest)
      break
    }
  }
}

const isWorthRepeating = (error: RocketError): boolean =>
  error.retryable || error.code === 'TIMEOUT' || error.code === 'CONNECTION_LOST' || error.code === 'CONNECT_FAILED'

function checked(outcome: unknown, who: string, group: string): Outcome {
  if (outcome === 'commit' || outcome === 'rollback' || outcome === 'unknown') return outcome
  throw new RocketError(`${who} returned ${JSON.stringify(outcome)}; it must be 'commit', 'rollback' or 'unknown'`, {
    code: 'BAD_ARGUMENT',
    group,
  })
}
