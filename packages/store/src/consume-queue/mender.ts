import { getInt64, utf8, viewOf } from '../bytes.ts'
import { LogScanner } from '../commit-log/log-scanner.ts'
import { AT, entersQueue } from '../commit-log/record.ts'
import type { Segments } from '../commit-log/segments.ts'
import { RecordParser, topicRange } from '../dispatch/record-parser.ts'
import { LIMITS } from '../limits.ts'
import { CHUNK_BYTES } from './chunk-file.ts'
import type { ConsumeQueue } from './consume-queue.ts'
import type { QueueEntry } from './entry.ts'
import { ENTRY_BYTES, physicalOffsetAt, sizeAt } from './entry.ts'

/**
 * Finds in the log what belongs into places of a consume queue that are damaged, or were jumped over because a message was lost. What
 * is not there is marked as lost, so that nobody looks again.
 */
export class QueueMender {
  private readonly segments: Segments
  private readonly delayLevelsMs: readonly number[]
  private readonly scratch = new Uint8Array(CHUNK_BYTES)
  private readonly view = viewOf(this.scratch)

  constructor(segments: Segments, delayLevelsMs: readonly number[]) {
    this.segments = segments
    this.delayLevelsMs = delayLevelsMs
  }

  /** Mends the run of bad places around `queueOffset`; the log ends at `logEnd`. Returns how many messages were found. */
  async mend(queue: ConsumeQueue, queueOffset: number, logEnd: number): Promise<number> {
    const gap = this.gapAround(queue, queueOffset, logEnd)
    const entries: (QueueEntry | undefined)[] = Array.from({ length: gap.to - gap.from }, () => undefined)
    const lookup = { find: () => queue.topic, obtain: () => queue.topic }
    const parser = new RecordParser(lookup, this.delayLevelsMs, { covers: () => false })
    let found = 0
    await new LogScanner(this.segments, {
      from: Math.max(gap.logFrom, this.segments.minOffset),
      until: gap.logTo,
      onRecord: (bytes, view, at) => {
        const place = getInt64(view, at + AT.queueOffset)
        const isWanted = view.getInt32(at + AT.queueId) === queue.queueId && entersQueue(view.getInt32(at + AT.sysFlag))
        if (!isWanted || place < gap.from || place >= gap.to) return
        const range = topicRange(bytes, view, at)
        if (range === undefined || utf8.decode(bytes.subarray(range.start, range.end)) !== queue.topic.name) return
        const record = parser.parse(bytes, view, at)
        if (record === undefined) return
        const { physicalOffset, sizeBytes, tagsCode, digest } = record
        entries[place - gap.from] = { physicalOffset, sizeBytes, tagsCode, digest }
        found++
      },
      onDamage: () => {},
    }).run()
    queue.mend(gap.from, entries)
    return found
  }

  private gapAround(queue: ConsumeQueue, queueOffset: number, logEnd: number) {
    const most = LIMITS.mendedEntries
    let from = queueOffset
    while (from > queue.minOffset && queueOffset - from < most && this.at(queue, from - 1) === 'bad') from--
    let to = queueOffset + 1
    while (to < queue.maxOffset && to - from < most && this.at(queue, to) === 'bad') to++
    let logFrom = 0
    for (let before = from - 1; before >= queue.minOffset && logFrom === 0; before--) {
      if (this.at(queue, before) === 'known') logFrom = physicalOffsetAt(this.view, 0) + sizeAt(this.view, 0)
    }
    let logTo = logEnd
    for (let behind = to; behind < queue.maxOffset && logTo === logEnd; behind++) {
      if (this.at(queue, behind) === 'known') logTo = physicalOffsetAt(this.view, 0)
    }
    return { from, to, logFrom: Math.max(logFrom, queue.topic.createdAt), logTo }
  }

  private at(queue: ConsumeQueue, queueOffset: number): 'known' | 'lost' | 'bad' {
    if (queue.readEntries(queueOffset, 1, this.scratch.subarray(0, ENTRY_BYTES)) === 0) return 'bad'
    if (!queue.isSound(this.view, 0, queueOffset)) return 'bad'
    return sizeAt(this.view, 0) > 0 ? 'known' : 'lost'
  }
}
