import { viewOf } from '../bytes.ts'
import type { Segments } from '../commit-log/segments.ts'
import { CHUNK_BYTES, CHUNK_ENTRIES } from '../consume-queue/chunk-file.ts'
import type { ConsumeQueue } from '../consume-queue/consume-queue.ts'
import { digestAt, ENTRY_BYTES, physicalOffsetAt, sizeAt, tagsCodeAt } from '../consume-queue/entry.ts'
import type { ReadRequest } from '../types.ts'
import type { Selection } from './selection.ts'

/** A place of a queue that says nothing: damaged, or never filled. */
export class BadEntry extends Error {
  readonly queueOffset: number

  constructor(queueOffset: number) {
    super(`place ${queueOffset} of a consume queue is damaged`)
    this.queueOffset = queueOffset
  }
}

/** Picks messages by what the consume queue says of them. */
export class Selector {
  private readonly segments: Segments
  private readonly entries = new Uint8Array(CHUNK_BYTES)
  private readonly view = viewOf(this.entries)

  constructor(segments: Segments) {
    this.segments = segments
  }

  /**
   * Adds messages from `offset` on, up to the limits, of which `messagesBefore` and `bytesBefore` are used already; returns where the scan
   * stopped.
   */
  select(
    queue: ConsumeQueue,
    { entryFilter, maxMessages, maxBytes }: ReadRequest,
    offset: number,
    scanEnd: number,
    messagesBefore: number,
    bytesBefore: number,
    selection: Selection,
  ): number {
    const { view } = this
    const { minOffset } = this.segments
    const batch = entryFilter === undefined ? Math.min(CHUNK_ENTRIES, Math.max(1, maxMessages)) : CHUNK_ENTRIES
    let next = offset
    while (next < scanEnd) {
      const count = queue.readEntries(next, Math.min(batch, scanEnd - next), this.entries)
      if (count === 0) break
      for (let at = 0; at < count * ENTRY_BYTES; at += ENTRY_BYTES) {
        const messages = messagesBefore + selection.count
        if (!queue.isSound(view, at, next)) {
          if (messages > 0) return next
          throw new BadEntry(next)
        }
        const size = sizeAt(view, at)
        const physicalOffset = physicalOffsetAt(view, at)
        if (size > 0 && physicalOffset >= minOffset && (entryFilter === undefined || entryFilter(tagsCodeAt(view, at)))) {
          // RocketMQ DefaultMessageStore#isTheBatchFull: the first message always goes.
          if (messages > 0 && (messages >= maxMessages || bytesBefore + selection.totalBytes + size > maxBytes)) return next
          selection.add(next, physicalOffset, size, digestAt(view, at))
        }
        next++
      }
    }
    return next
  }

  /** The digest of message `queueOffset` if it lies at `physicalOffset`. */
  digestOf(queue: ConsumeQueue, queueOffset: number, physicalOffset: number): number | undefined {
    const { view } = this
    if (queue.readEntries(queueOffset, 1, this.entries) === 0) return undefined
    if (!queue.isSound(view, 0, queueOffset) || physicalOffsetAt(view, 0) !== physicalOffset) return undefined
    return digestAt(view, 0)
  }
}
