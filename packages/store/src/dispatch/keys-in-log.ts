import { viewOf } from '../bytes.ts'
import { plausibleSize } from '../commit-log/record-check.ts'
import { MAGIC_BLANK } from '../commit-log/record.ts'
import type { Segments } from '../commit-log/segments.ts'
import { Topic } from '../consume-queue/topic.ts'
import type { StoredKey } from '../index/index-mender.ts'
import { forEachKey } from '../index/key-index.ts'
import { RecordParser } from './record-parser.ts'

const WINDOW_BYTES = 256 * 1024

/** The keys of the messages from a position of the log on, as the index takes them up. Ends at the first place that is no record. */
export function* keysInLog(segments: Segments, physicalOffset: number): Generator<StoredKey> {
  const topics = new Map<string, Topic>()
  const lookup = {
    find: () => undefined,
    obtain(name: string): Topic {
      const topic = topics.get(name) ?? new Topic(name, 0, 0)
      topics.set(name, topic)
      return topic
    },
  }
  const parser = new RecordParser(lookup, [], { covers: () => false })
  let offset = Math.max(physicalOffset, segments.minOffset)
  for (;;) {
    const segment = segments.find(offset)
    if (segment === undefined) return
    const head = new Uint8Array(8)
    segment.readNow(head, 0, 8, offset)
    if (viewOf(head).getInt32(4) === MAGIC_BLANK) {
      offset = segment.endOffset
      continue
    }
    const size = plausibleSize(viewOf(head), 0, segment.endOffset - offset)
    if (size === 0) return
    const bytes = new Uint8Array(Math.min(Math.max(size, WINDOW_BYTES), segment.endOffset - offset))
    const view = viewOf(bytes)
    const got = segment.readNow(bytes, 0, bytes.length, offset)
    let at = 0
    for (let next = size; next > 0 && at + next <= got; next = at + 8 <= got ? plausibleSize(view, at, got - at) : 0) {
      const record = parser.parse(bytes, view, at)
      const hashes: number[] = []
      if (record !== undefined) forEachKey(record, (hash) => hashes.push(hash))
      for (const hash of hashes) yield { hash, physicalOffset: offset + at, storeTime: record?.storeTimestamp ?? 0 }
      at += next
    }
    if (at === 0) return
    offset += at
  }
}
