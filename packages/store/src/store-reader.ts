import type { Log } from '@skylarkmq/runtime'
import { getInt64, utf8, viewOf } from './bytes.ts'
import type { CommitLog } from './commit-log/commit-log.ts'
import { AT, SYS_FLAG_BORN_HOST_V6 } from './commit-log/record.ts'
import { checkRecord, plausibleSize } from './commit-log/record-check.ts'
import type { Segment } from './commit-log/segments.ts'
import { CHUNK_BYTES, CHUNK_ENTRIES, ENTRY_BYTES } from './consume-queue/chunk-file.ts'
import type { ConsumeQueue } from './consume-queue/consume-queue.ts'
import type { ConsumeQueues } from './consume-queue/consume-queues.ts'
import type { Deletions } from './dispatch/deletions.ts'
import { topicRange } from './dispatch/record-parser.ts'
import { LIMITS } from './limits.ts'
import type { ReadRequest, ReadResult, ReadStatus } from './types.ts'

/** A read of a file that a step needs; the driver does it on the main thread or off it. */
interface FileRead {
  readonly segment: Segment
  readonly target: Uint8Array
  readonly length: number
  readonly logOffset: number
}

const NOTHING = new Uint8Array(0)
const HEAD_BYTES = AT.bornHost + 20 + 8

/** Reads messages through the consume queues: from the ring, else from the file in as few reads as their places allow. */
export class StoreReader {
  private readonly log: CommitLog
  private readonly queues: ConsumeQueues
  private readonly deletions: Deletions
  private readonly logger: Log
  private readonly entries = new Uint8Array(CHUNK_BYTES)
  private readonly entriesView = viewOf(this.entries)
  private readonly head = new Uint8Array(HEAD_BYTES)
  private readonly headView = viewOf(this.head)

  constructor(log: CommitLog, queues: ConsumeQueues, deletions: Deletions, logger: Log) {
    this.log = log
    this.queues = queues
    this.deletions = deletions
    this.logger = logger
  }

  read(request: ReadRequest): ReadResult | Promise<ReadResult> {
    const queue = this.queues.find(request.topic, request.queueId)
    if (queue === undefined) return empty('no-matched-logic-queue', 0, undefined)
    // RocketMQ DefaultMessageStore#getMessage and #nextOffsetCorrection.
    if (!Number.isSafeInteger(request.offset)) return empty('offset-too-small', queue.minOffset, queue)
    if (queue.maxOffset === 0) return empty('no-message-in-queue', 0, queue)
    if (request.offset < queue.minOffset) return empty('offset-too-small', queue.minOffset, queue)
    if (request.offset === queue.maxOffset) return empty('offset-overflow-one', request.offset, queue)
    if (request.offset > queue.maxOffset) return empty('offset-overflow-badly', queue.maxOffset, queue)
    const steps = this.steps(queue, request)
    let step = steps.next()
    while (step.done !== true) {
      const { segment, target, length, logOffset } = step.value
      if (!this.log.isRecent(logOffset)) return finish(steps, step.value)
      step = steps.next(segment.readNow(target, 0, length, logOffset))
    }
    return step.value
  }

  private *steps(queue: ConsumeQueue, request: ReadRequest): Generator<FileRead, ReadResult, number> {
    const scanEnd = Math.min(queue.maxOffset, request.offset + Math.max(request.scanEntries ?? LIMITS.scanEntries, request.maxMessages))
    const found: Found = { queueOffsets: [], offsets: [], sizes: [], totalBytes: 0 }
    const bodies: Uint8Array[] = []
    let messageCount = 0
    let bodyBytes = 0
    let missing = false
    let next = request.offset
    let full = false
    while (!full && next < scanEnd) {
      found.queueOffsets.length = 0
      found.offsets.length = 0
      found.sizes.length = 0
      found.totalBytes = 0
      const before = { count: messageCount, bytes: bodyBytes }
      next = this.select(queue, request, next, scanEnd, before, found)
      full = next < scanEnd
      if (found.offsets.length === 0) break
      const body = yield* this.load(found)
      const kept = this.keep(body, found, request)
      missing ||= kept.lost > 0
      if (kept.count > 0) bodies.push(kept.body)
      messageCount += kept.count
      bodyBytes += kept.body.length
      // A filter on records, or a lost record, leaves room: go on.
      if (full && kept.count < found.offsets.length) full = messageCount >= request.maxMessages || bodyBytes >= request.maxBytes
    }
    if (messageCount === 0) return empty(missing ? 'message-was-removing' : 'no-matched-message', next, queue)
    const body = bodies.length === 1 ? (bodies[0] as Uint8Array) : Buffer.concat(bodies)
    return { status: 'found', body, messageCount, nextOffset: next, minOffset: queue.minOffset, maxOffset: queue.maxOffset }
  }

  /** Picks entries from `offset` on, up to the limits; returns where the scan stopped. */
  private select(
    queue: ConsumeQueue,
    request: ReadRequest,
    offset: number,
    scanEnd: number,
    before: { readonly count: number; readonly bytes: number },
    found: Found,
  ): number {
    const { entryFilter, maxMessages, maxBytes } = request
    const view = this.entriesView
    const batch = entryFilter === undefined ? Math.min(CHUNK_ENTRIES, Math.max(1, maxMessages)) : CHUNK_ENTRIES
    let next = offset
    while (next < scanEnd) {
      const count = queue.readEntries(next, Math.min(batch, scanEnd - next), this.entries)
      if (count === 0) break
      for (let i = 0; i < count; i++) {
        const at = i * ENTRY_BYTES
        const size = view.getInt32(at + 8)
        const physicalOffset = getInt64(view, at)
        const wanted =
          size > 0 && physicalOffset >= this.log.segments.minOffset && (entryFilter === undefined || entryFilter(getInt64(view, at + 12)))
        if (wanted) {
          const messages = before.count + found.offsets.length
          // RocketMQ DefaultMessageStore#isTheBatchFull: the first message always goes.
          if (messages > 0 && (messages >= maxMessages || before.bytes + found.totalBytes + size > maxBytes)) return next
          found.queueOffsets.push(next)
          found.offsets.push(physicalOffset)
          found.sizes.push(size)
          found.totalBytes += size
        }
        next++
      }
    }
    return next
  }

  /** The found records, one after another. Places that could not be read stay zero. */
  private *load(found: Found): Generator<FileRead, Uint8Array, number> {
    const { offsets, sizes } = found
    const ring = this.log.ring
    const body = Buffer.allocUnsafeSlow(found.totalBytes)
    let at = 0
    let i = 0
    while (i < offsets.length) {
      const start = offsets[i] as number
      let j = i + 1
      let end = start + (sizes[i] as number)
      while (j < offsets.length && offsets[j] === end) end += sizes[j++] as number
      let ringAt = ring.locate(start, end - start)
      if (ringAt < 0 && j > i + 1) {
        // The run may leave a ring span or a segment midway: take its first record alone.
        j = i + 1
        end = start + (sizes[i] as number)
        ringAt = ring.locate(start, end - start)
      }
      if (ringAt >= 0) {
        body.set(ring.bytes.subarray(ringAt, ringAt + end - start), at)
        at += end - start
        i = j
        continue
      }
      const segment = this.log.segments.find(start)
      if (segment === undefined) {
        body.fill(0, at, at + (sizes[i] as number))
        at += sizes[i] as number
        i++
        continue
      }
      // One read over all that lies near enough in this segment.
      j = i + 1
      end = start + (sizes[i] as number)
      while (j < offsets.length) {
        const next = offsets[j] as number
        if (next < end || next >= segment.endOffset || next - end > LIMITS.coalesceGapBytes) break
        end = next + (sizes[j] as number)
        j++
      }
      const window = new Uint8Array(end - start)
      const got = yield { segment, target: window, length: window.length, logOffset: start }
      if (got < window.length) window.fill(0, got)
      for (; i < j; i++) {
        const from = (offsets[i] as number) - start
        body.set(window.subarray(from, from + (sizes[i] as number)), at)
        at += sizes[i] as number
      }
    }
    return body
  }

  /** Drops what is not the record that the queue meant, and what the filter does not want. */
  private keep(body: Uint8Array, found: Found, request: ReadRequest): { body: Uint8Array; count: number; lost: number } {
    const view = viewOf(body)
    const filter = request.recordFilter
    let lost = 0
    let count = 0
    let from = 0
    let to = 0
    for (let i = 0; i < found.offsets.length; i++) {
      const size = found.sizes[i] as number
      const physicalOffset = found.offsets[i] as number
      const good =
        plausibleSize(view, from, size) === size &&
        getInt64(view, from + AT.physicalOffset) === physicalOffset &&
        getInt64(view, from + AT.queueOffset) === found.queueOffsets[i] &&
        view.getInt32(from + AT.queueId) === request.queueId
      if (!good) {
        lost++
        this.logger.error('a consume queue points at a place of the log that holds no such record', {
          topic: request.topic,
          queueId: request.queueId,
          physicalOffset,
          sizeBytes: size,
        })
      } else if (filter === undefined || filter(body.subarray(from, from + size))) {
        if (to !== from) body.copyWithin(to, from, from + size)
        to += size
        count++
      }
      from += size
    }
    return { body: to === body.length ? body : body.subarray(0, to), count, lost }
  }

  readRecordAt(physicalOffset: number): Uint8Array | undefined {
    const segment = this.log.segments.find(physicalOffset)
    if (!Number.isSafeInteger(physicalOffset) || segment === undefined || physicalOffset + 8 > this.log.writtenOffset) return undefined
    if (!this.log.readRecent(this.head, 0, physicalOffset, 8)) return undefined
    const size = plausibleSize(this.headView, 0, Math.min(segment.endOffset, this.log.writtenOffset) - physicalOffset)
    if (size === 0) return undefined
    const record = Buffer.allocUnsafeSlow(size)
    if (!this.log.readRecent(record, 0, physicalOffset, size)) return undefined
    const view = viewOf(record)
    if (checkRecord(record, view, 0, physicalOffset, true) !== undefined) return undefined
    if (!this.deletions.isEmpty) {
      const range = topicRange(record, view, 0)
      if (range !== undefined && this.deletions.covers(utf8.decode(record.subarray(range.start, range.end)), physicalOffset))
        return undefined
    }
    return record
  }

  storeTimestamp(queue: ConsumeQueue, queueOffset: number): number {
    if (queue.readEntries(queueOffset, 1, this.entries) === 0 || this.entriesView.getInt32(8) <= 0) return -1
    const physicalOffset = getInt64(this.entriesView, 0)
    if (!this.log.readRecent(this.head, 0, physicalOffset, HEAD_BYTES)) return -1
    if (getInt64(this.headView, AT.physicalOffset) !== physicalOffset) return -1
    return getInt64(this.headView, AT.bornHost + (this.headView.getInt32(AT.sysFlag) & SYS_FLAG_BORN_HOST_V6 ? 20 : 8))
  }

  offsetByTime(queue: ConsumeQueue, timestamp: number, boundary: 'lower' | 'upper'): number {
    // First offset whose time is ≥ timestamp ('lower') or > timestamp ('upper').
    let low = queue.minOffset
    let high = queue.maxOffset
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      const time = this.storeTimestamp(queue, middle)
      if (boundary === 'lower' ? time < timestamp : time <= timestamp) low = middle + 1
      else high = middle
    }
    return boundary === 'lower' ? low : Math.max(queue.minOffset, low - 1)
  }
}

interface Found {
  readonly queueOffsets: number[]
  readonly offsets: number[]
  readonly sizes: number[]
  totalBytes: number
}

function empty(status: ReadStatus, nextOffset: number, queue: ConsumeQueue | undefined): ReadResult {
  return { status, body: NOTHING, messageCount: 0, nextOffset, minOffset: queue?.minOffset ?? 0, maxOffset: queue?.maxOffset ?? 0 }
}

async function finish(steps: Generator<FileRead, ReadResult, number>, first: FileRead): Promise<ReadResult> {
  let wanted = first
  for (;;) {
    const got = await wanted.segment.read(wanted.target, 0, wanted.length, wanted.logOffset)
    const step = steps.next(got)
    if (step.done === true) return step.value
    wanted = step.value
  }
}
