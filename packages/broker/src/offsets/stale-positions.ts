import type { Clock, Log } from '@skylarkmq/runtime'
import type { MessageStore, MetadataStore } from '@skylarkmq/store'
import type { ConsumerOffsets } from './consumer-offsets.ts'

/** Queue → the end that it had at a start. */
type Ends = Map<number, number>

export interface StalePositionsDeps {
  readonly clock: Clock
  readonly log: Log
  readonly metadata: MetadataStore
  readonly offsets: ConsumerOffsets
  readonly store: MessageStore
}

const KEY_PREFIX = 'endsAtStart/'
/** Of groups that had not committed anything: whoever ran before the crash has come back by then. */
const FOR_UNKNOWN_GROUPS_MS = 60_000

/**
 * A loss of power may take the last messages of a queue when consumers have them already. Those go on from where they were: what has got
 * the lost places meanwhile would be passed over. So after a stop that was not clean the ends of the queues are kept for each group until it
 * shows that it knows them: nothing behind such an end can be known from before. RocketMQ corrects a position only while it lies behind the end.
 */
export class StalePositions {
  readonly #metadata: MetadataStore
  readonly #store: MessageStore
  readonly #offsets: ConsumerOffsets
  /** For groups that had not committed anything. Empty after a clean stop. */
  #ends: ReadonlyMap<string, Ends>
  /** Topics whose ends are kept for such groups, in case of another crash. */
  #kept: string[] = []
  readonly #keepUntilMs: number
  readonly #clock: Clock
  readonly #log: Log
  /** By group and topic. */
  readonly #unknown = new Map<string, Map<string, Ends>>()
  readonly #changed = new Set<string>()
  /** By connection and queue: the highest offset that it has been told of. */
  readonly #told = new WeakMap<object, Map<string, number>>()

  constructor({ clock, log, metadata, offsets, store }: StalePositionsDeps) {
    this.#metadata = metadata
    this.#store = store
    this.#offsets = offsets
    this.#clock = clock
    this.#log = log
    this.#keepUntilMs = clock.monotonic() + FOR_UNKNOWN_GROUPS_MS
    const rows = new Map([...metadata.entries('kv')].filter(([key]) => key.startsWith(KEY_PREFIX)))
    const found = store.recovery.cleanStop ? new Map<string, Ends>() : endsOf(store)
    this.#ends = found
    if (found.size === 0 && rows.size === 0) return
    for (const [name] of offsets.entries()) {
      const split = name.indexOf('@')
      const [topic, group] = [name.slice(0, split), name.slice(split + 1)]
      const ends = lowest(parseEnds(rows.get(KEY_PREFIX + name)), found.get(topic))
      rows.delete(KEY_PREFIX + name)
      this.#put(group, topic, ends)
      if (found.size > 0 && ends.size > 0) this.#changed.add(name)
    }
    const unknown = new Map(found)
    for (const [key, text] of rows) {
      const topic = key.slice(KEY_PREFIX.length, -1)
      if (key.endsWith('@')) unknown.set(topic, lowest(parseEnds(text), found.get(topic)))
      else metadata.delete('kv', key)
    }
    this.#ends = unknown
    this.#kept = [...unknown.keys()]
    if (found.size === 0) return
    for (const [topic, ends] of unknown) metadata.set('kv', `${KEY_PREFIX}${topic}@`, textOf(ends))
    this.save()
    // The next crash may come soon.
    metadata.flush()
  }

  /**
   * Where a pull has to go on instead of its offset; undefined when it is well where it is. A consumer that is sent elsewhere forgets what it
   * has in hand: it gets that again, from the committed offset on.
   */
  pulled(group: string, topic: string, queueId: number, offset: number, connection: object): number | undefined {
    const ends = this.#of(group, topic)
    const end = ends?.get(queueId)
    if (end === undefined) return undefined
    if (offset > end && !this.#mayKnow(connection, topic, queueId, offset)) {
      const committed = this.#offsets.get(group, topic, queueId) ?? end
      const goesOnAt = Math.max(Math.min(end, committed, this.#store.maxOffset(topic, queueId)), this.#store.minOffset(topic, queueId))
      const about = { group, topic, queueId, offset, endAtStart: end, goesOnAt }
      this.#log.info('a consumer came back from behind the end that a crash has left of its queue; it gets what lies there now', about)
      return goesOnAt
    }
    this.knows(group, topic, queueId)
    return undefined
  }

  /** What may be committed of an offset: nothing of what was read before the crash and is gone. */
  committable(group: string, topic: string, queueId: number, offset: number, connection: object): number {
    const end = this.#of(group, topic)?.get(queueId)
    return end === undefined || offset <= end || this.#mayKnow(connection, topic, queueId, offset) ? offset : end
  }

  /** The group has been told where it is now. */
  knows(group: string, topic: string, queueId: number): void {
    if (this.#of(group, topic)?.delete(queueId) === true) this.#changed.add(`${topic}@${group}`)
  }

  /** A client was told of an offset: where a group is, where the queue ends, or what lies there at some time. */
  told(connection: object, topic: string, queueId: number, offset: number): void {
    if (this.#unknown.size === 0 && this.#ends.size === 0) return
    const key = `${topic}@${queueId}`
    const known = this.#told.get(connection)
    if (known === undefined) this.#told.set(connection, new Map([[key, offset]]))
    else known.set(key, Math.max(offset, known.get(key) ?? 0))
  }

  #mayKnow(connection: object, topic: string, queueId: number, offset: number): boolean {
    return offset <= (this.#told.get(connection)?.get(`${topic}@${queueId}`) ?? -1)
  }

  save(): void {
    for (const name of this.#changed) {
      const split = name.indexOf('@')
      const ends = this.#unknown.get(name.slice(split + 1))?.get(name.slice(0, split))
      if (ends === undefined || ends.size === 0) this.#metadata.delete('kv', KEY_PREFIX + name)
      else this.#metadata.set('kv', KEY_PREFIX + name, textOf(ends))
    }
    this.#changed.clear()
    if (this.#kept.length === 0 || this.#clock.monotonic() < this.#keepUntilMs) return
    for (const topic of this.#kept) this.#metadata.delete('kv', `${KEY_PREFIX}${topic}@`)
    this.#kept = []
  }

  #of(group: string, topic: string): Ends | undefined {
    if (this.#unknown.size === 0 && this.#ends.size === 0) return undefined
    const known = this.#unknown.get(group)?.get(topic)
    const ends = this.#ends.get(topic)
    if (known !== undefined || ends === undefined) return known
    this.#changed.add(`${topic}@${group}`)
    return this.#put(group, topic, new Map(ends))
  }

  #put(group: string, topic: string, ends: Ends): Ends {
    const topics = this.#unknown.get(group)
    if (topics === undefined) this.#unknown.set(group, new Map([[topic, ends]]))
    else topics.set(topic, ends)
    return ends
  }
}

function endsOf(store: MessageStore): Map<string, Ends> {
  const all = new Map<string, Ends>()
  for (const [topic, queueIds] of store.queues()) {
    all.set(topic, new Map([...queueIds].map((queueId) => [queueId, store.maxOffset(topic, queueId)])))
  }
  return all
}

/** The lower one of each queue. */
function lowest(kept: Ends, found: Ends = new Map()): Ends {
  for (const [queueId, end] of found) kept.set(queueId, Math.min(end, kept.get(queueId) ?? end))
  return kept
}

const textOf = (ends: Ends): string => JSON.stringify(Object.fromEntries(ends))

const parseEnds = (text: string | undefined): Ends =>
  new Map(Object.entries(JSON.parse(text ?? '{}') as Record<string, number>).map(([queueId, end]) => [Number(queueId), end]))
