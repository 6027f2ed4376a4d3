import { ROUTE_CACHE_BYTES } from './limits.ts'

interface Entry {
  quoted?: Buffer
  compact?: Buffer
}

/**
 * Encoded route answers: most clients ask for the same few topics every 30 s, and encoding 100 brokers costs more than all else in the
 * answer. An entry lives until its topic's route changes, or until younger ones need the room.
 */
export class RouteCache {
  readonly #entries = new Map<string, Entry>()
  readonly #limitBytes: number
  #sizeBytes = 0

  constructor(limitBytes: number = ROUTE_CACHE_BYTES) {
    this.#limitBytes = limitBytes
  }

  get sizeBytes(): number {
    return this.#sizeBytes
  }

  get(topic: string, form: keyof Entry): Buffer | undefined {
    return this.#entries.get(topic)?.[form]
  }

  set(topic: string, form: keyof Entry, bytes: Buffer): void {
    if (bytes.length > this.#limitBytes) return
    let entry = this.#entries.get(topic)
    if (entry === undefined) {
      entry = {}
      this.#entries.set(topic, entry)
    }
    this.#sizeBytes += bytes.length - (entry[form]?.length ?? 0)
    entry[form] = bytes
    for (const oldest of this.#entries.keys()) {
      if (this.#sizeBytes <= this.#limitBytes) return
      if (oldest !== topic) this.delete(oldest)
    }
  }

  delete(topic: string): void {
    const entry = this.#entries.get(topic)
    if (entry === undefined) return
    this.#sizeBytes -= (entry.quoted?.length ?? 0) + (entry.compact?.length ?? 0)
    this.#entries.delete(topic)
  }

  clear(): void {
    this.#entries.clear()
    this.#sizeBytes = 0
  }
}
