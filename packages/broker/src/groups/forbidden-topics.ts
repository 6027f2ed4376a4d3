import type { MetadataStore } from '@skylarkmq/store'

/** Rows `forbidden/topic@group` in the table `kv`: bits of permissions that are taken away, as Apache's `forbiddenTable` has them. */
const KEY_PREFIX = 'forbidden/'
/** RocketMQ 5.3 `PermName.INDEX_PERM_READ`. */
const READ_BIT = 1 << 2

/** Topics that an operator lets a group not read though they are readable (RocketMQ 5.3 `SubscriptionGroupManager#updateForbidden`). */
export class ForbiddenTopics {
  readonly #groups = new Map<string, Map<string, number>>()
  readonly #metadata: MetadataStore

  constructor(metadata: MetadataStore) {
    this.#metadata = metadata
    for (const [key, text] of metadata.entries('kv')) {
      if (!key.startsWith(KEY_PREFIX)) continue
      const split = key.indexOf('@')
      this.#put(key.slice(split + 1), key.slice(KEY_PREFIX.length, split), Number(text))
    }
  }

  isReadable(group: string, topic: string): boolean {
    return this.#groups.size === 0 || (this.#bits(group, topic) & READ_BIT) === 0
  }

  setReadable(group: string, topic: string, isReadable: boolean): void {
    const bits = isReadable ? this.#bits(group, topic) & ~READ_BIT : this.#bits(group, topic) | READ_BIT
    this.#put(group, topic, bits)
    const key = `${KEY_PREFIX}${topic}@${group}`
    if (bits === 0) this.#metadata.delete('kv', key)
    else this.#metadata.set('kv', key, String(bits))
  }

  deleteGroup(group: string): void {
    for (const topic of this.#groups.get(group)?.keys() ?? []) this.#metadata.delete('kv', `${KEY_PREFIX}${topic}@${group}`)
    this.#groups.delete(group)
  }

  /** group → topic → bits, as GET_ALL_SUBSCRIPTIONGROUP_CONFIG shows them. */
  table(): Record<string, Record<string, number>> {
    return Object.fromEntries([...this.#groups].map(([group, topics]) => [group, Object.fromEntries(topics)]))
  }

  #bits(group: string, topic: string): number {
    return this.#groups.get(group)?.get(topic) ?? 0
  }

  #put(group: string, topic: string, bits: number): void {
    const topics = this.#groups.get(group) ?? new Map<string, number>()
    if (bits === 0) topics.delete(topic)
    else topics.set(topic, bits)
    if (topics.size === 0) this.#groups.delete(group)
    else this.#groups.set(group, topics)
  }
}
