/** What a process queue needs to know of a message. */
export interface Cacheable {
  readonly queueOffset: number
  /** What it counts for in the limit on cached bytes. */
  readonly sizeBytes: number
}

/** One cached message and what has become of it. */
export interface CacheEntry<T> {
  readonly message: T
  readonly offset: number
  readonly sequence: number
  /** Handed to a handler and not given back. */
  taken: boolean
  done: boolean
  /** Monotonic time at which the handler got it. */
  takenMs: number
  /** Monotonic time at which it is taken away from the handler. */
  expiresMs: number
  /** Called when the message is taken away from a handler that takes too long. */
  onExpired?: () => void
  /** Made when the handler asks for its signal. */
  controller?: AbortController
}

/**
 * The messages of one queue between the pull and the handler, in offset order. It knows which offset may be committed: the smallest
 * one that is not consumed, so that a restart repeats messages but never skips one (RocketMQ `ProcessQueue#removeMessage`).
 */
export class ProcessQueue<T extends Cacheable> {
  /** In offset order from `#head`; consumed ones in the middle are undefined until all before them are. */
  #entries: (CacheEntry<T> | undefined)[] = []
  #head = 0
  /** The sequence number of `#entries[0]`. */
  #firstSequence = 0
  #nextUntaken = 0
  /** Taken and given back, by sequence: handed out before any new one. */
  #again: CacheEntry<T>[] = []
  #nextOffset: number | undefined
  #count = 0
  #bytes = 0

  /** Messages that are not consumed yet, those with a handler included. */
  get count(): number {
    return this.#count
  }

  get bytes(): number {
    return this.#bytes
  }

  /** How far apart the oldest and the newest cached offset are (RocketMQ `getMaxSpan`). */
  get span(): number {
    return this.#count === 0 ? 0 : (this.maxOffset as number) - (this.minOffset as number)
  }

  get minOffset(): number | undefined {
    return this.#entries[this.#head]?.offset
  }

  get maxOffset(): number | undefined {
    for (let i = this.#entries.length - 1; i >= this.#head; i--) {
      const entry = this.#entries[i]
      if (entry) return entry.offset
    }
    return undefined
  }

  /** The smallest offset that is not consumed; with an empty cache, where the next pull begins; undefined before the first answer. */
  get committableOffset(): number | undefined {
    return this.minOffset ?? this.#nextOffset
  }

  get hasUntaken(): boolean {
    return this.#again.length > 0 || this.#nextUntaken < this.#firstSequence + this.#entries.length
  }

  /** Adds messages in offset order. One that was cached or consumed before is left out. Returns how many were added. */
  put(messages: readonly T[]): number {
    let added = 0
    for (const message of messages) {
      const offset = message.queueOffset
      if (this.#nextOffset !== undefined && offset < this.#nextOffset) continue
      const sequence = this.#firstSequence + this.#entries.length
      this.#entries.push({ message, offset, sequence, taken: false, done: false, takenMs: 0, expiresMs: Number.POSITIVE_INFINITY })
      this.#nextOffset = offset + 1
      this.#count++
      this.#bytes += message.sizeBytes
      added++
    }
    return added
  }

  /** The broker has nothing for us below `offset`: filtered messages count as consumed. Never goes back. */
  advance(offset: number): void {
    if (this.#nextOffset === undefined || offset > this.#nextOffset) this.#nextOffset = offset
  }

  /** Hands out up to `max` messages in offset order: those given back first. */
  take(max: number): CacheEntry<T>[] {
    const taken: CacheEntry<T>[] = []
    while (taken.length < max && this.#again.length > 0) {
      const entry = this.#again.shift() as CacheEntry<T>
      if (!entry.done) taken.push(entry)
    }
    const end = this.#firstSequence + this.#entries.length
    while (taken.length < max && this.#nextUntaken < end) {
      const entry = this.#entries[this.#nextUntaken++ - this.#firstSequence]
      if (entry) taken.push(entry)
    }
    for (const entry of taken) entry.taken = true
    return taken
  }

  /** Gives messages back: they are handed out again, before any other. */
  release(entries: readonly CacheEntry<T>[]): void {
    for (const entry of entries) {
      if (entry.done || !entry.taken) continue
      entry.taken = false
      this.#again.push(entry)
    }
    this.#again.sort((a, b) => a.sequence - b.sequence)
  }

  /** The message is consumed (or passed on). False when it was before. */
  complete(entry: CacheEntry<T>): boolean {
    if (entry.done || this.#entries[entry.sequence - this.#firstSequence] !== entry) return false
    entry.done = true
    this.#entries[entry.sequence - this.#firstSequence] = undefined
    this.#count--
    this.#bytes -= entry.message.sizeBytes
    while (this.#head < this.#entries.length && this.#entries[this.#head] === undefined) this.#head++
    if (this.#head > 256 && this.#head * 2 > this.#entries.length) this.#compact()
    return true
  }

  /** The oldest unconsumed message. */
  get first(): CacheEntry<T> | undefined {
    return this.#entries[this.#head]
  }

  /** All that a handler has now. */
  *inHand(): Generator<CacheEntry<T>> {
    for (let i = this.#head; i < this.#entries.length; i++) {
      const entry = this.#entries[i]
      if (entry?.taken) yield entry
    }
  }

  #compact(): void {
    this.#entries = this.#entries.slice(this.#head)
    this.#firstSequence += this.#head
    this.#head = 0
    this.#nextUntaken = Math.max(this.#nextUntaken, this.#firstSequence)
  }
}
