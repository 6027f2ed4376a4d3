import type { MetadataStore } from '@skylarkmq/store'

interface TopicGroup {
  readonly topic: string
  readonly group: string
  readonly committed: Map<number, number>
  /** The offset of the last pull, for tools. */
  readonly pulled: Map<number, number>
  /** Set by an operator and not yet told to the consumer (RocketMQ 5.3 `ConsumerOffsetManager#assignResetOffset`). */
  readonly resets: Map<number, number>
}

/** An offset that was behind the end of its queue. */
export interface Clamped {
  readonly group: string
  readonly topic: string
  readonly queueId: number
  readonly offset: number
  readonly end: number
}

/** Resets that no consumer has been told yet survive a restart: else the next commit of a consumer that was not told would undo them. */
const RESETS_KEY_PREFIX = 'pendingResets/'

/**
 * How far each group has consumed each queue. Held in memory; `save` hands what changed to the metadata store, on a timer and at close,
 * so that a commit costs no write. After a crash consumers see the messages since the last save again.
 */
export class ConsumerOffsets {
  readonly #table = new Map<string, Map<string, TopicGroup>>()
  readonly #dirty = new Set<TopicGroup>()
  /** The one that was asked for last. */
  #latest: TopicGroup | undefined
  readonly #metadata: MetadataStore

  constructor(metadata: MetadataStore) {
    this.#metadata = metadata
    for (const [key, text] of metadata.entries('offsets')) {
      const split = key.indexOf('@')
      const entry = this.#entry(key.slice(split + 1), key.slice(0, split))
      for (const [queueId, offset] of Object.entries(JSON.parse(text) as Record<string, number>))
        entry.committed.set(Number(queueId), offset)
    }
    for (const [key, text] of metadata.entries('kv')) {
      if (!key.startsWith(RESETS_KEY_PREFIX)) continue
      const split = key.indexOf('@')
      const entry = this.#entry(key.slice(split + 1), key.slice(RESETS_KEY_PREFIX.length, split))
      for (const [queueId, offset] of Object.entries(JSON.parse(text) as Record<string, number>)) entry.resets.set(Number(queueId), offset)
    }
  }

  /** The committed offset (a pending reset counts as such), or undefined. */
  get(group: string, topic: string, queueId: number): number | undefined {
    const entry = this.#find(group, topic)
    return entry?.resets.get(queueId) ?? entry?.committed.get(queueId)
  }

  /** False when a reset waits to be told: it stays. Lower offsets are accepted. */
  commit(group: string, topic: string, queueId: number, offset: number): boolean {
    const entry = this.#entry(group, topic)
    if (entry.resets.has(queueId)) return false
    if (entry.committed.get(queueId) !== offset) {
      entry.committed.set(queueId, offset)
      this.#dirty.add(entry)
    }
    return true
  }

  pulled(group: string, topic: string, queueId: number, offset: number): void {
    this.#entry(group, topic).pulled.set(queueId, offset)
  }

  lastPulled(group: string, topic: string, queueId: number): number | undefined {
    return this.#find(group, topic)?.pulled.get(queueId)
  }

  /** Sets the offset and keeps it until `takeReset`. */
  reset(group: string, topic: string, queueId: number, offset: number, isTold: boolean): void {
    const entry = this.#entry(group, topic)
    entry.committed.set(queueId, offset)
    entry.pulled.delete(queueId)
    if (isTold) entry.resets.set(queueId, offset)
    else entry.resets.delete(queueId)
    this.#dirty.add(entry)
    this.#saveResets(entry)
  }

  /** An operator's new offset that the consumer has not heard of yet. */
  pendingReset(group: string, topic: string, queueId: number): number | undefined {
    return this.#find(group, topic)?.resets.get(queueId)
  }

  takeReset(group: string, topic: string, queueId: number): number | undefined {
    const entry = this.#find(group, topic)
    if (entry === undefined || entry.resets.size === 0) return undefined
    const offset = entry.resets.get(queueId)
    if (entry.resets.delete(queueId)) this.#saveResets(entry)
    return offset
  }

  /**
   * Brings offsets behind the end of their queue down to it: a loss of power took messages that were not flushed yet, and those that get
   * their places would be passed over. `endOf` is the end that the start has found.
   */
  clampTo(endOf: (topic: string, queueId: number) => number): Clamped[] {
    const clamped: Clamped[] = []
    for (const topics of this.#table.values()) {
      for (const entry of topics.values()) {
        for (const [queueId, offset] of entry.committed) {
          const end = endOf(entry.topic, queueId)
          if (offset <= end) continue
          entry.committed.set(queueId, end)
          this.#dirty.add(entry)
          clamped.push({ group: entry.group, topic: entry.topic, queueId, offset, end })
        }
        let isChanged = false
        for (const [queueId, offset] of entry.resets) {
          const end = endOf(entry.topic, queueId)
          if (offset <= end) continue
          entry.resets.set(queueId, end)
          isChanged = true
        }
        if (isChanged) this.#saveResets(entry)
      }
    }
    return clamped
  }

  topicsOf(group: string): string[] {
    return [...(this.#table.get(group)?.values() ?? [])].filter((entry) => entry.committed.size > 0).map((entry) => entry.topic)
  }

  groupsOf(topic: string): string[] {
    return [...this.#table].filter(([, topics]) => (topics.get(topic)?.committed.size ?? 0) > 0).map(([group]) => group)
  }

  /** `[topic@group, queueId → offset]` of all. */
  *entries(): IterableIterator<[string, ReadonlyMap<number, number>]> {
    for (const topics of this.#table.values()) {
      for (const entry of topics.values()) if (entry.committed.size > 0) yield [keyOf(entry), entry.committed]
    }
  }

  deleteGroup(group: string): void {
    for (const entry of this.#table.get(group)?.values() ?? []) this.#forget(entry)
    this.#table.delete(group)
  }

  deleteTopic(topic: string): void {
    for (const [group, topics] of this.#table) {
      const entry = topics.get(topic)
      if (entry === undefined) continue
      this.#forget(entry)
      topics.delete(topic)
      if (topics.size === 0) this.#table.delete(group)
    }
  }

  save(): void {
    for (const entry of this.#dirty) this.#metadata.set('offsets', keyOf(entry), JSON.stringify(Object.fromEntries(entry.committed)))
    this.#dirty.clear()
  }

  #saveResets(entry: TopicGroup): void {
    const key = `${RESETS_KEY_PREFIX}${keyOf(entry)}`
    if (entry.resets.size === 0) this.#metadata.delete('kv', key)
    else this.#metadata.set('kv', key, JSON.stringify(Object.fromEntries(entry.resets)))
  }

  #forget(entry: TopicGroup): void {
    this.#latest = undefined
    this.#dirty.delete(entry)
    if (entry.resets.size > 0) this.#metadata.delete('kv', `${RESETS_KEY_PREFIX}${keyOf(entry)}`)
    this.#metadata.delete('offsets', keyOf(entry))
  }

  #find(group: string, topic: string): TopicGroup | undefined {
    const latest = this.#latest
    if (latest !== undefined && latest.topic === topic && latest.group === group) return latest
    const entry = this.#table.get(group)?.get(topic)
    if (entry !== undefined) this.#latest = entry
    return entry
  }

  #entry(group: string, topic: string): TopicGroup {
    const old = this.#find(group, topic)
    if (old !== undefined) return old
    const entry: TopicGroup = { topic, group, committed: new Map(), pulled: new Map(), resets: new Map() }
    const topics = this.#table.get(group)
    if (topics === undefined) this.#table.set(group, new Map([[topic, entry]]))
    else topics.set(topic, entry)
    return entry
  }
}

const keyOf = (entry: TopicGroup): string => `${entry.topic}@${entry.group}`
