import { decodeRecords } from '@skylarkmq/remoting/protocol'
import type { StoredMessage } from '@skylarkmq/remoting/protocol'
import type { Clock, Log } from '@skylarkmq/runtime'
import type { MessageStore, PendingTimer, TimerIndex, TimerIndexState } from '@skylarkmq/store'
import { LIMITS } from '../limits.ts'
import { timerRecordOf } from './timer-record.ts'
import { TIMER_QUEUE, TIMER_TOPIC } from './timer-request.ts'

export interface IndexerDeps {
  readonly store: MessageStore
  readonly timerIndex: TimerIndex
  readonly clock: Clock
  readonly log: Log
}

export interface IndexerEvents {
  readonly added: (entry: PendingTimer) => void
  /** Delivered, though still in the view. */
  readonly isDelivered: (entry: PendingTimer) => boolean
}

/** Takes the records of the timer topic over into the view, in their order: messages enter it, recalls take messages out. */
export class TimerIndexer {
  readonly #store: MessageStore
  readonly #index: TimerIndex
  readonly #clock: Clock
  readonly #log: Log
  readonly #events: IndexerEvents
  /** By the offset of the recall. */
  readonly #recalls = new Map<number, (count: number | undefined) => void>()
  #state: TimerIndexState
  #isSaved = false
  #isClosed = false

  constructor({ store, timerIndex, clock, log }: IndexerDeps, state: TimerIndexState, events: IndexerEvents) {
    this.#store = store
    this.#index = timerIndex
    this.#clock = clock
    this.#log = log
    this.#state = state
    this.#events = events
  }

  get state(): TimerIndexState {
    return this.#state
  }

  get isCaughtUp(): boolean {
    return this.#isSaved && this.#state.indexedTo >= this.#store.maxOffset(TIMER_TOPIC, TIMER_QUEUE)
  }

  /** Undefined when the recall is stored but it cannot be said yet what it found. */
  recalled(queueOffset: number): Promise<number | undefined> {
    if (this.#isClosed) return Promise.resolve(undefined)
    return new Promise((resolve) => this.#recalls.set(queueOffset, resolve))
  }

  /** Work goes on later; nobody is kept waiting for it. */
  failed(): void {
    for (const resolve of this.#recalls.values()) resolve(undefined)
    this.#recalls.clear()
  }

  close(): void {
    this.#isClosed = true
    this.failed()
  }

  /** Up to the end of the queue. Nothing arrives between its last look and its return. */
  async catchUp(): Promise<void> {
    if (!this.#isSaved) this.#apply([], [], this.#state)
    while (this.#state.indexedTo < this.#store.maxOffset(TIMER_TOPIC, TIMER_QUEUE)) {
      const reading = this.#store.read({
        topic: TIMER_TOPIC,
        queueId: TIMER_QUEUE,
        offset: this.#state.indexedTo,
        maxMessages: LIMITS.scheduleMessages,
        maxBytes: LIMITS.scheduleBytes,
      })
      const result = reading instanceof Promise ? await reading : reading
      if (result.nextOffset <= this.#state.indexedTo)
        throw new Error(`the timer topic cannot be read at ${this.#state.indexedTo}: ${result.status}`)
      this.#takeOver(decodeRecords(result.body), result.nextOffset)
      // Others have their turn.
      if (!this.isCaughtUp) await new Promise<void>((resolve) => this.#clock.afterTurn(resolve))
    }
  }

  #takeOver(messages: readonly StoredMessage[], nextOffset: number): void {
    let add: PendingTimer[] = []
    for (const message of messages) {
      const record = timerRecordOf(message)
      if (record === undefined) {
        this.#log.error('a message of the timer topic is left out: it does not say when or where', { offset: message.queueOffset })
        continue
      }
      if (record.kind === 'message') {
        // Apache's broker stored a message anew: the record before it is the same message.
        if (record.isMovedByApache) add = this.#replace(add, record.entry, message)
        add.push(record.entry)
        continue
      }
      this.#apply(add, [], this.#after(message, message.queueOffset))
      add = []
      const found = this.#index
        .find(record.fromMs, record.toMs, record.keyHash)
        .filter((entry) => entry.origin < message.physicalOffset && !this.#events.isDelivered(entry))
      this.#apply(
        [],
        found.map(({ origin }) => origin),
        this.#after(message, message.queueOffset + 1),
      )
      this.#recalls.get(message.queueOffset)?.(found.length)
      this.#recalls.delete(message.queueOffset)
    }
    const last = messages[messages.length - 1]
    this.#apply(add, [], last === undefined ? { ...this.#state, indexedTo: nextOffset } : this.#after(last, nextOffset))
  }

  #replace(add: PendingTimer[], entry: PendingTimer, message: StoredMessage): PendingTimer[] {
    this.#apply(add, [], this.#after(message, message.queueOffset))
    const old = this.#index.find(entry.dueMs - 1000, entry.dueMs + 1000, entry.keyHash).filter(({ origin }) => origin < entry.origin)
    const remove = old.map(({ origin }) => origin)
    if (remove.length > 0) this.#apply([], remove, this.#state)
    return []
  }

  #after(message: StoredMessage, indexedTo: number): TimerIndexState {
    if (indexedTo <= message.queueOffset) return { ...this.#state, indexedTo }
    return { ...this.#state, indexedTo, lastPosition: message.physicalOffset, lastStoreTimestamp: message.storeTimestamp }
  }

  #apply(add: readonly PendingTimer[], remove: readonly number[], state: TimerIndexState): void {
    this.#index.apply({ add, remove, state })
    this.#state = state
    this.#isSaved = true
    for (const entry of add) this.#events.added(entry)
  }
}
