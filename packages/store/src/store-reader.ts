import type { Log } from '@skylarkmq/runtime'
import type { Body } from './body-pool.ts'
import { BodyPool, own } from './body-pool.ts'
import { getInt64, utf8, viewOf } from './bytes.ts'
import { ColdBlocks } from './commit-log/cold-blocks.ts'
import type { CommitLog } from './commit-log/commit-log.ts'
import { isFiller } from './commit-log/damage.ts'
import { AT, entersQueue } from './commit-log/record.ts'
import { checkRecord, plausibleSize } from './commit-log/record-check.ts'
import type { Segment } from './commit-log/segments.ts'
import { CHUNK_BYTES, CHUNK_ENTRIES } from './consume-queue/chunk-file.ts'
import type { ConsumeQueue } from './consume-queue/consume-queue.ts'
import type { ConsumeQueues } from './consume-queue/consume-queues.ts'
import { digestAt, ENTRY_BYTES, physicalOffsetAt, sizeAt, tagsCodeAt } from './consume-queue/entry.ts'
import type { QueueMender } from './consume-queue/mender.ts'
import { recordDigest } from './digest.ts'
import type { Deletions } from './dispatch/deletions.ts'
import { topicRange } from './dispatch/record-parser.ts'
import { LIMITS } from './limits.ts'
import type { ReadRequest, ReadResult, ReadStatus } from './types.ts'

/** Bytes of the log that a step needs; the driver gets them on the main thread or off it. */
interface Want {
  readonly logOffset: number
  getNow(): void
  get(): Promise<void>
}

/** Straight from the file; what it does not have is zero. */
class FileWant implements Want {
  readonly segment: Segment
  readonly target: Uint8Array
  readonly logOffset: number

  constructor(segment: Segment, target: Uint8Array, logOffset: number) {
    this.segment = segment
    this.target = target
    this.logOffset = logOffset
  }

  getNow(): void {
    this.clear(this.segment.readNow(this.target, 0, this.target.length, this.logOffset))
  }

  async get(): Promise<void> {
    this.clear(await this.segment.read(this.target, 0, this.target.length, this.logOffset))
  }

  private clear(got: number): void {
    if (got < this.target.length) this.target.fill(0, got)
  }
}

/** A block of old log. */
class BlockWant implements Want {
  readonly blocks: ColdBlocks
  readonly segment: Segment
  readonly logOffset: number

  constructor(blocks: ColdBlocks, segment: Segment, start: number) {
    this.blocks = blocks
    this.segment = segment
    this.logOffset = start
  }

  getNow(): void {
    this.blocks.loadNow(this.segment, this.logOffset)
  }

  get(): Promise<void> {
    return this.blocks.load(this.segment, this.logOffset)
  }
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
  /** End of the log when it was opened: what this process wrote since is believed as long as it is surely in memory. */
  private readonly openedAt: number
  private readonly mender: QueueMender
  private readonly blocks: ColdBlocks
  private readonly pool = new BodyPool()
  private readonly reported = new Set<number>()

  constructor(log: CommitLog, queues: ConsumeQueues, deletions: Deletions, mender: QueueMender, logger: Log) {
    this.log = log
    this.queues = queues
    this.deletions = deletions
    this.mender = mender
    this.logger = logger
    this.openedAt = log.endOffset
    this.blocks = new ColdBlocks(log, LIMITS.coldBlockBytes, LIMITS.coldBlocks)
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
    try {
      let step = steps.next()
      while (step.done !== true) {
        if (!this.log.isRecent(step.value.logOffset)) return this.mended(queue, request, finish(steps, step.value))
        step.value.getNow()
        step = steps.next()
      }
      return step.value
    } catch (error) {
      if (error instanceof BadEntry) return this.mended(queue, request, Promise.reject(error))
      throw error
    }
  }

  /** Reads again when what belongs into a damaged place of the queue has been found in the log. */
  private async mended(queue: ConsumeQueue, request: ReadRequest, result: Promise<ReadResult>): Promise<ReadResult> {
    try {
      return await result
    } catch (error) {
      if (!(error instanceof BadEntry)) throw error
      const found = await this.mender.mend(queue, error.queueOffset, this.log.writtenOffset)
      this.queues.touch(queue)
      this.logger.warn('places of a consume queue were missing or damaged, and were looked for in the log', {
        topic: request.topic,
        queueId: request.queueId,
        queueOffset: error.queueOffset,
        messagesFound: found,
      })
      return this.read(request)
    }
  }

  private *steps(queue: ConsumeQueue, request: ReadRequest): Generator<Want, ReadResult, void> {
    const scanEnd = Math.min(queue.maxOffset, request.offset + Math.max(request.scanEntries ?? LIMITS.scanEntries, request.maxMessages))
    const found: Found = { queueOffsets: [], offsets: [], sizes: [], digests: [], totalBytes: 0 }
    const bodies: Body[] = []
    let messageCount = 0
    let bodyBytes = 0
    let missing = false
    let next = request.offset
    let full = false
    while (!full && next < scanEnd) {
      found.queueOffsets.length = 0
      found.offsets.length = 0
      found.sizes.length = 0
      found.digests.length = 0
      found.totalBytes = 0
      const before = { count: messageCount, bytes: bodyBytes }
      next = this.select(queue, request, next, scanEnd, before, found)
      full = next < scanEnd
      if (found.offsets.length === 0) break
      const body = request.lendsBody === true ? this.pool.take(found.totalBytes) : own(found.totalBytes)
      yield* this.load(found, body.bytes)
      const kept = this.keep(body.bytes.subarray(0, found.totalBytes), found, request)
      missing ||= kept.lost > 0
      if (kept.count > 0) bodies.push({ bytes: kept.body, release: body.release })
      else body.release?.()
      messageCount += kept.count
      bodyBytes += kept.body.length
      // A filter on records, or a lost record, leaves room: go on.
      if (full && kept.count < found.offsets.length) full = messageCount >= request.maxMessages || bodyBytes >= request.maxBytes
    }
    if (messageCount === 0) return empty(missing ? 'message-was-removing' : 'no-matched-message', next, queue)
    const { bytes, release } = bodies.length === 1 ? (bodies[0] as Body) : joined(bodies)
    return { status: 'found', body: bytes, release, messageCount, nextOffset: next, minOffset: queue.minOffset, maxOffset: queue.maxOffset }
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
        if (!queue.isSound(view, at, next)) {
          if (before.count + found.offsets.length > 0) return next
          throw new BadEntry(next)
        }
        const size = sizeAt(view, at)
        const physicalOffset = physicalOffsetAt(view, at)
        const wanted =
          size > 0 && physicalOffset >= this.log.segments.minOffset && (entryFilter === undefined || entryFilter(tagsCodeAt(view, at)))
        if (wanted) {
          const messages = before.count + found.offsets.length
          // RocketMQ DefaultMessageStore#isTheBatchFull: the first message always goes.
          if (messages > 0 && (messages >= maxMessages || before.bytes + found.totalBytes + size > maxBytes)) return next
          found.queueOffsets.push(next)
          found.offsets.push(physicalOffset)
          found.sizes.push(size)
          found.digests.push(digestAt(view, at))
          found.totalBytes += size
        }
        next++
      }
    }
    return next
  }

  /** Puts the found records into `body`, one after another. Places that are no longer there become zero. */
  private *load(found: Found, body: Uint8Array): Generator<Want, void, void> {
    const { offsets, sizes } = found
    const ring = this.log.ring
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
      // All that lies near enough in this segment.
      j = i + 1
      end = start + (sizes[i] as number)
      while (j < offsets.length) {
        const next = offsets[j] as number
        if (next < end || next >= segment.endOffset || next - end > LIMITS.coalesceGapBytes) break
        end = next + (sizes[j] as number)
        j++
      }
      if (end - start >= LIMITS.directReadBytes) {
        at = yield* this.fromBlocks(segment, found, i, j, body, at)
        i = j
        continue
      }
      const window = new Uint8Array(end - start)
      yield new FileWant(segment, window, start)
      for (; i < j; i++) {
        const from = (offsets[i] as number) - start
        body.set(window.subarray(from, from + (sizes[i] as number)), at)
        at += sizes[i] as number
      }
    }
  }

  /** Puts the records `[from, to)` of one segment to `at` of `body`, each of which may lie across two blocks; returns where they end. */
  private *fromBlocks(
    segment: Segment,
    { offsets, sizes }: Found,
    from: number,
    to: number,
    body: Uint8Array,
    at: number,
  ): Generator<Want, number, void> {
    const { blocks } = this
    let blockStart = 0
    let blockEnd = 0
    let bytes: Uint8Array | undefined
    for (let i = from; i < to; i++) {
      let next = offsets[i] as number
      const end = next + (sizes[i] as number)
      while (next < end) {
        if (next < blockStart || next >= blockEnd) {
          blockStart = blocks.startOf(segment, next)
          bytes = blockStart < 0 ? undefined : blocks.peek(blockStart)
          if (blockStart >= 0 && bytes === undefined) {
            yield new BlockWant(blocks, segment, blockStart)
            bytes = blocks.peek(blockStart)
          }
          blockEnd = bytes === undefined ? 0 : blocks.endOf(segment, blockStart)
        }
        if (bytes === undefined) {
          // The block is not complete yet, or had to make room at once.
          yield new FileWant(segment, body.subarray(at, at + end - next), next)
          at += end - next
          break
        }
        const length = Math.min(end, blockEnd) - next
        body.set(bytes.subarray(next - blockStart, next - blockStart + length), at)
        at += length
        next += length
      }
    }
    return at
  }

  /** Drops what is not the record that the queue meant, and what the filter does not want. */
  private keep(body: Buffer, found: Found, request: ReadRequest): { body: Buffer; count: number; lost: number } {
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
        view.getInt32(from + AT.queueId) === request.queueId &&
        (this.isBelieved(physicalOffset) || this.isAsWritten(body, view, from, physicalOffset, found.digests[i] as number))
      if (!good) {
        lost++
        this.report(physicalOffset, { topic: request.topic, queueId: request.queueId, queueOffset: found.queueOffsets[i], sizeBytes: size })
      } else if (filter === undefined || filter(body.subarray(from, from + size))) {
        if (to !== from) body.copyWithin(to, from, from + size)
        to += size
        count++
      }
      from += size
    }
    return { body: to === body.length ? body : body.subarray(0, to), count, lost }
  }

  /** What this process wrote a moment ago cannot have changed on the disk. */
  private isBelieved(physicalOffset: number): boolean {
    return physicalOffset >= this.openedAt && this.log.isRecent(physicalOffset)
  }

  private isAsWritten(bytes: Uint8Array, view: DataView, at: number, physicalOffset: number, digest: number): boolean {
    return checkRecord(bytes, view, at, physicalOffset, true) === undefined && recordDigest(view, at) === digest
  }

  private report(physicalOffset: number, place: Record<string, unknown>): void {
    if (this.reported.has(physicalOffset) || this.reported.size >= LIMITS.reportedDamages) return
    this.reported.add(physicalOffset)
    const hint = 'stop the broker and run `skylark store salvage` to put the damaged bytes aside'
    this.logger.error('a record of the log is damaged: it is not served', { physicalOffset, ...place, hint })
  }

  /** What the consume queue knows of the record that says of itself that it is message `queueOffset`. */
  private digestKnown(record: Uint8Array, view: DataView, physicalOffset: number): number | undefined {
    const range = topicRange(record, view, 0)
    const topic = range === undefined ? undefined : this.queues.topics.find(record, range.start, range.end)
    const queue = topic?.queues.get(view.getInt32(AT.queueId))
    const queueOffset = getInt64(view, AT.queueOffset)
    if (queue === undefined || queue.readEntries(queueOffset, 1, this.entries) === 0) return undefined
    if (!queue.isSound(this.entriesView, 0, queueOffset) || physicalOffsetAt(this.entriesView, 0) !== physicalOffset) return undefined
    return digestAt(this.entriesView, 0)
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
    // A record that is in a queue must be the one that the queue knows; else its topic, queue or offset may be what is damaged.
    if (!this.isBelieved(physicalOffset)) {
      const digest = this.digestKnown(record, view, physicalOffset)
      const isInQueue = entersQueue(view.getInt32(AT.sysFlag))
      if (digest === undefined ? isInQueue : digest !== recordDigest(view, 0)) return undefined
      if (!isInQueue && isFiller(view)) return undefined
    }
    if (!this.deletions.isEmpty) {
      const range = topicRange(record, view, 0)
      if (range !== undefined && this.deletions.covers(utf8.decode(record.subarray(range.start, range.end)), physicalOffset))
        return undefined
    }
    return record
  }
}

/** A place of a queue that says nothing: damaged, or never filled. */
class BadEntry extends Error {
  readonly queueOffset: number

  constructor(queueOffset: number) {
    super(`place ${queueOffset} of a consume queue is damaged`)
    this.queueOffset = queueOffset
  }
}

interface Found {
  readonly queueOffsets: number[]
  readonly offsets: number[]
  readonly sizes: number[]
  readonly digests: number[]
  totalBytes: number
}

function joined(bodies: readonly Body[]): Body {
  const bytes = Buffer.concat(bodies.map((body) => body.bytes))
  for (const body of bodies) body.release?.()
  return { bytes, release: undefined }
}

function empty(status: ReadStatus, nextOffset: number, queue: ConsumeQueue | undefined): ReadResult {
  return { status, body: NOTHING, messageCount: 0, nextOffset, minOffset: queue?.minOffset ?? 0, maxOffset: queue?.maxOffset ?? 0 }
}

async function finish(steps: Generator<Want, ReadResult, void>, first: Want): Promise<ReadResult> {
  let wanted = first
  for (;;) {
    await wanted.get()
    const step = steps.next()
    if (step.done === true) return step.value
    wanted = step.value
  }
}
