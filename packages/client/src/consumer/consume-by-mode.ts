import type { AssignedQueue } from './assigned-queue.ts'
import type { ConcurrentConsumption } from './consume-concurrently.ts'
import type { PoppedConsumption } from './consume-popped.ts'
import type { ConsumeService } from './consume-service.ts'
import type { Leases } from './handler.ts'
import type { PopEntry } from './popped.ts'
import type { CacheEntry } from './process-queue.ts'
import type { ConsumedMessage } from './received-message.ts'

type Entry = CacheEntry<ConsumedMessage>

const isPopped = (entry: Entry): entry is PopEntry => 'record' in entry

/** Some queues are pulled and some are popped: a popping group still pulls its retry topic, and a broker may change its mind by topic. */
export class ConsumptionByMode implements ConsumeService, Leases {
  readonly #pulled: ConcurrentConsumption
  readonly #popped: PoppedConsumption

  constructor(pulled: ConcurrentConsumption, popped: PoppedConsumption) {
    this.#pulled = pulled
    this.#popped = popped
  }

  onMessages(assigned: AssignedQueue): void {
    this.#pulled.onMessages(assigned)
  }

  async release(assigned: AssignedQueue): Promise<boolean> {
    // Popped messages stay ours until their time is up, whoever pops their queue next.
    return assigned.isPopped || this.#pulled.release()
  }

  pause(): void {
    this.#pulled.pause()
    this.#popped.pause()
  }

  resume(): void {
    this.#pulled.resume()
    this.#popped.resume()
  }

  async drain(ms: number): Promise<boolean> {
    const ended = await Promise.all([this.#pulled.drain(ms), this.#popped.drain(ms)])
    return !ended.includes(false)
  }

  farewell(): Promise<void> {
    return this.#popped.farewell()
  }

  deadline(entry: Entry): number {
    return isPopped(entry) ? this.#popped.deadline(entry) : this.#pulled.deadline(entry)
  }

  extend(entries: readonly Entry[], ms: number | undefined): Promise<void> {
    const popped = entries.filter(isPopped)
    return popped.length > 0 ? this.#popped.extend(popped, ms) : this.#pulled.extend(entries, ms)
  }
}
