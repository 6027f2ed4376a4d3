import type { Kernel } from '@skylarkmq/remoting/protocol'
import type { Log } from '@skylarkmq/runtime'
import { getInt64, utf8, viewOf } from './bytes.ts'
import type { CommitLog } from './commit-log/commit-log.ts'
import { isFiller } from './commit-log/damage.ts'
import { AT, entersQueue } from './commit-log/record.ts'
import { checkRecord, plausibleSize } from './commit-log/record-check.ts'
import type { ConsumeQueue } from './consume-queue/consume-queue.ts'
import type { ConsumeQueues } from './consume-queue/consume-queues.ts'
import type { QueueMender } from './consume-queue/mender.ts'
import { recordDigest } from './digest.ts'
import type { Deletions } from './dispatch/deletions.ts'
import { topicRange } from './dispatch/record-parser.ts'
import { LIMITS } from './limits.ts'
import type { Body } from './read/body-pool.ts'
import { BodyPool, own } from './read/body-pool.ts'
import { Gatherer } from './read/gatherer.ts'
import { bodiesIn } from './read/read-memory.ts'
import type { Kept } from './read/record-judge.ts'
import { RecordPicker } from './read/record-picker.ts'
import { RecordJudge } from './read/record-judge.ts'
import { Selection } from './read/selection.ts'
import { BadEntry, Selector } from './read/selector.ts'
import type { Want } from './read/want.ts'
import type { ReadRequest, ReadResult, ReadStatus } from './types.ts'

const NOTHING = new Uint8Array(0)
const HEAD_BYTES = AT.bornHost + 20 + 8

/** Reads messages through the consume queues: from the ring, else from the file. */
export class StoreReader {
  private readonly log: CommitLog
  private readonly queues: ConsumeQueues
  private readonly deletions: Deletions
  private readonly logger: Log
  private readonly head = new Uint8Array(HEAD_BYTES)
  private readonly headView = viewOf(this.head)
  private readonly mender: QueueMender
  private readonly selector: Selector
  private readonly gatherer: Gatherer
  private readonly judge: RecordJudge
  private readonly pool: BodyPool
  private readonly picker: RecordPicker
  /** Used again by those who read next; as many as there were reads at a time. */
  private readonly spare: Selection[] = []

  constructor(log: CommitLog, queues: ConsumeQueues, deletions: Deletions, mender: QueueMender, logger: Log, kernel: Kernel) {
    this.log = log
    this.queues = queues
    this.deletions = deletions
    this.mender = mender
    this.logger = logger
    this.selector = new Selector(log.segments)
    this.pool = new BodyPool(bodiesIn(kernel))
    this.gatherer = new Gatherer(log, kernel)
    this.judge = new RecordJudge(log, logger, kernel)
    this.picker = new RecordPicker(log, kernel, this.gatherer.blocks, this.judge)
  }

  read(request: ReadRequest): ReadResult | Promise<ReadResult> {
    return this.readOnce(request, 0)
  }

  /** `waits`: how often it has waited for a block of old log. */
  private readOnce(request: ReadRequest, waits: number): ReadResult | Promise<ReadResult> {
    const queue = this.queues.find(request.topic, request.queueId)
    if (queue === undefined) return empty('no-matched-logic-queue', 0, undefined)
    // RocketMQ DefaultMessageStore#getMessage and #nextOffsetCorrection.
    if (!Number.isSafeInteger(request.offset)) return empty('offset-too-small', queue.minOffset, queue)
    if (queue.maxOffset === 0) return empty('no-message-in-queue', 0, queue)
    if (request.offset < queue.minOffset) return empty('offset-too-small', queue.minOffset, queue)
    if (request.offset === queue.maxOffset) return empty('offset-overflow-one', request.offset, queue)
    if (request.offset > queue.maxOffset) return empty('offset-overflow-badly', queue.maxOffset, queue)
    const picked = this.picker.pick(queue, request)
    if (picked !== undefined) return picked
    const { missing } = this.picker
    if (missing !== undefined && waits < LIMITS.waitsToPick) {
      if (!this.log.isRecent(missing.logOffset) || this.gatherer.blocks.isComing(missing.logOffset))
        return this.readLater(request, waits + 1, missing)
      missing.getNow()
      return this.readOnce(request, waits + 1)
    }
    const selection = this.spare.pop() ?? new Selection()
    try {
      const scanEnd = scanEndOf(queue, request)
      const next = this.select(queue, request, request.offset, scanEnd, 0, 0, selection)
      const recent = this.readRing(queue, request, selection, next)
      if (recent !== undefined) return recent
      const steps = this.steps(queue, request, selection, next, scanEnd)
      let step = steps.next()
      while (step.done !== true) {
        if (!this.log.isRecent(step.value.logOffset)) return this.mended(queue, request, finish(steps, step.value))
        step = advance(steps, step.value)
      }
      return step.value
    } catch (error) {
      if (error instanceof BadEntry) return this.mended(queue, request, Promise.reject(error))
      throw error
    }
  }

  /** Reads when a block is there. Others run before the answer leaves, so what was picked is put into memory of its own. */
  private async readLater(request: ReadRequest, waits: number, missing: Want): Promise<ReadResult> {
    await missing.get()
    const again = this.readOnce(request, waits)
    const result = again instanceof Promise ? await again : again
    const { bodyToPut } = result
    if (bodyToPut === undefined) return result
    const body = request.lendsBody === true ? this.pool.take(bodyToPut.length) : own(bodyToPut.length)
    bodyToPut.putAt(body.bytes, 0)
    return { ...result, bodyToPut: undefined, body: body.bytes.subarray(0, bodyToPut.length), release: body.release }
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
      // Whoever waits for it lets others run in between.
      return this.read({ ...request, putsBody: false })
    }
  }

  private putBack(selection: Selection): void {
    if (this.spare.length < LIMITS.spareSelections) this.spare.push(selection)
  }

  private select(
    queue: ConsumeQueue,
    request: ReadRequest,
    offset: number,
    scanEnd: number,
    messagesBefore: number,
    bytesBefore: number,
    selection: Selection,
  ): number {
    selection.clear()
    return this.selector.select(queue, request, offset, scanEnd, messagesBefore, bytesBefore, selection)
  }

  /** The read of a consumer that keeps up: all that it picked is in the ring, and goes to it. */
  private readRing(queue: ConsumeQueue, request: ReadRequest, selection: Selection, next: number): ReadResult | undefined {
    if (selection.count === 0 || request.recordFilter !== undefined) return undefined
    const body = request.lendsBody === true ? this.pool.take(selection.totalBytes) : own(selection.totalBytes)
    const kept = this.gatherer.fromRing(selection, body) ? this.judge.keep(body, selection, request) : undefined
    if (kept === undefined || kept.lost > 0) {
      body.release?.()
      return undefined
    }
    this.putBack(selection)
    return found(body.bytes.subarray(0, kept.bytes), body.release, kept.count, next, queue)
  }

  /** Any read. `selection` is what was picked first, up to `next`. */
  private *steps(
    queue: ConsumeQueue,
    request: ReadRequest,
    selection: Selection,
    firstNext: number,
    scanEnd: number,
  ): Generator<Want, ReadResult, void> {
    const bodies: Answer[] = []
    let messageCount = 0
    let bodyBytes = 0
    let missing = false
    let next = firstNext
    while (selection.count > 0) {
      const body = request.lendsBody === true ? this.pool.take(selection.totalBytes) : own(selection.totalBytes)
      let kept: Kept
      try {
        yield* this.gatherer.gather(selection, body)
        kept = this.judge.keep(body, selection, request)
      } catch (error) {
        body.release?.()
        for (const other of bodies) other.release?.()
        throw error
      }
      missing ||= kept.lost > 0
      if (kept.count > 0) bodies.push({ bytes: body.bytes.subarray(0, kept.bytes), release: body.release })
      else body.release?.()
      messageCount += kept.count
      bodyBytes += kept.bytes
      // A filter on records, or a lost record, leaves room: go on.
      const isFull =
        next < scanEnd && (kept.count === selection.count || messageCount >= request.maxMessages || bodyBytes >= request.maxBytes)
      if (isFull || next >= scanEnd) break
      next = this.select(queue, request, next, scanEnd, messageCount, bodyBytes, selection)
    }
    this.putBack(selection)
    if (messageCount === 0) return empty(missing ? 'message-was-removing' : 'no-matched-message', next, queue)
    const { bytes, release } = bodies.length === 1 ? (bodies[0] as Answer) : joined(bodies)
    return found(bytes, release, messageCount, next, queue)
  }

  /** What the consume queue knows of the record that says of itself that it is message `queueOffset`. */
  private digestKnown(record: Uint8Array, view: DataView, physicalOffset: number): number | undefined {
    const range = topicRange(record, view, 0)
    const topic = range === undefined ? undefined : this.queues.topics.find(record, range.start, range.end)
    const queue = topic?.queue(view.getInt32(AT.queueId))
    const queueOffset = getInt64(view, AT.queueOffset)
    return queue === undefined ? undefined : this.selector.digestOf(queue, queueOffset, physicalOffset)
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
    if (!this.judge.isBelieved(physicalOffset)) {
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

const scanEndOf = (queue: ConsumeQueue, request: ReadRequest): number =>
  Math.min(queue.maxOffset, request.offset + Math.max(request.scanEntries ?? LIMITS.scanEntries, request.maxMessages))

type Answer = Pick<Body, 'bytes' | 'release'>

function joined(bodies: readonly Answer[]): Answer {
  const bytes = Buffer.concat(bodies.map((body) => body.bytes))
  for (const body of bodies) body.release?.()
  return { bytes, release: undefined }
}

function found(body: Buffer, release: Body['release'], messageCount: number, nextOffset: number, queue: ConsumeQueue): ReadResult {
  return { status: 'found', body, release, messageCount, nextOffset, minOffset: queue.minOffset, maxOffset: queue.maxOffset }
}

function empty(status: ReadStatus, nextOffset: number, queue: ConsumeQueue | undefined): ReadResult {
  return { status, body: NOTHING, messageCount: 0, nextOffset, minOffset: queue?.minOffset ?? 0, maxOffset: queue?.maxOffset ?? 0 }
}

/** A read that fails is told to the steps, too: what was lent for them comes back. */
function advance(steps: Generator<Want, ReadResult, void>, wanted: Want): IteratorResult<Want, ReadResult> {
  try {
    wanted.getNow()
  } catch (error) {
    return steps.throw(error)
  }
  return steps.next()
}

async function finish(steps: Generator<Want, ReadResult, void>, first: Want): Promise<ReadResult> {
  let wanted = first
  for (;;) {
    let step: IteratorResult<Want, ReadResult>
    try {
      await wanted.get()
      step = steps.next()
    } catch (error) {
      step = steps.throw(error)
    }
    if (step.done === true) return step.value
    wanted = step.value
  }
}
