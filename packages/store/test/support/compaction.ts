import { decodeRecords } from '@skylarkmq/remoting/protocol'
import type { MessageToStore } from '../../src/index.ts'
import { Bench, message, properties } from './fixture.ts'

export const INTERVAL_MS = 60_000
export const RETENTION_MS = 600_000
export const COMPACTION = { intervalMs: INTERVAL_MS, tombstoneRetentionMs: RETENTION_MS, mapBytes: 1024 * 1024 }

const EMPTY = new Uint8Array(0)

/** `key=value` sets, `key=` deletes, `=value` has no key; a tag may follow behind `#`. */
export function update(text: string, topic = 'prices', queueId = 0): MessageToStore {
  const [pair = '', tag] = text.split('#')
  const [key = '', value = ''] = pair.split('=')
  const entries = { ...(key === '' ? {} : { KEYS: key }), ...(tag === undefined ? {} : { TAGS: tag }) }
  const base = message({ topic, queueId, text: value, properties: properties(entries) })
  return value === '' ? { ...base, body: EMPTY } : base
}

export interface Seen {
  readonly offset: number
  readonly text: string
}

/** A bench whose topic `prices` is compacted every minute. */
export class CompactionBench extends Bench {
  constructor(seed = 1, options: ConstructorParameters<typeof Bench>[1] = {}) {
    super(seed, { compaction: COMPACTION, ...options })
  }

  async start(): Promise<void> {
    await this.open()
    this.store.compactTopic('prices')
  }

  async put(...texts: readonly string[]): Promise<void> {
    await this.append(...texts.map((text) => update(text)))
  }

  /** Lets compaction come by. */
  compact(): Promise<void> {
    return this.sim.world.run(INTERVAL_MS + 5_000)
  }

  /** What a consumer sees that pulls from `offset` to the end: key=value with the queue offset. */
  async consume(offset = this.store.minOffset('prices', 0), maxMessages = 32, tagsCode?: number): Promise<Seen[]> {
    const seen: Seen[] = []
    const entryFilter = tagsCode === undefined ? undefined : (code: number) => code === tagsCode
    let next = offset
    while (next < this.store.maxOffset('prices', 0)) {
      const request = { topic: 'prices', queueId: 0, offset: next, maxMessages, maxBytes: 262_144, entryFilter }
      const result = await this.run(Promise.resolve(this.store.read(request)))
      if (result.status !== 'found' && result.status !== 'no-matched-message') throw new Error(`${result.status} at ${next}`)
      for (const record of decodeRecords(result.body)) {
        seen.push({ offset: record.queueOffset, text: `${record.properties.get('KEYS') ?? ''}=${Buffer.from(record.body).toString()}` })
      }
      if (result.nextOffset <= next) throw new Error(`the read at ${next} does not go on`)
      next = result.nextOffset
    }
    return seen
  }

  async texts(offset?: number): Promise<string[]> {
    return (await this.consume(offset)).map(({ text }) => text)
  }
}
