import { ROW, DERIVED } from '@skylarkmq/remoting/protocol'
import type { Derivation } from '@skylarkmq/remoting/protocol'
import type { Disk } from '@skylarkmq/runtime'
import { entersQueue } from '../commit-log/record.ts'
import type { DispatchRecord, DispatchTarget } from '../dispatch/dispatch-target.ts'
import type { ArrivalListener } from '../types.ts'
import { LIMITS } from '../limits.ts'
import { CHUNK_BYTES, ChunkFile } from './chunk-file.ts'
import { ConsumeQueue } from './consume-queue.ts'
import { firstAtOrAfter } from './queue-search.ts'
import type { Topic } from './topic.ts'
import { TopicTable } from './topic-table.ts'

/** What a checkpoint says of the queues' files. */
export interface VouchedQueues {
  /** Entries of log positions before this are there. */
  readonly logEnd: number
  readonly topicsEnd: number
  readonly slots: number
}

/** All consume queues: a view of the log. */
export class ConsumeQueues implements DispatchTarget {
  readonly topics: TopicTable
  private readonly chunks: ChunkFile
  private arrivals: ConsumeQueue[] = []
  private dirty: ConsumeQueue[] = []

  constructor(disk: Disk, directory: string) {
    this.topics = new TopicTable(disk, directory)
    this.chunks = new ChunkFile(disk, directory)
  }

  /** Takes over from the files what the checkpoint vouches for; tells in words why they cannot be believed. */
  load(vouched: VouchedQueues, isDeleted: (name: string, createdAt: number) => boolean): string | undefined {
    const byId = this.topics.load(vouched.topicsEnd, isDeleted)
    if (typeof byId === 'string') return byId
    const headers = this.chunks.load(vouched.slots)
    if (typeof headers === 'string') return headers
    headers.sort((a, b) => a.topicId - b.topicId || a.queueId - b.queueId || a.chunkNo - b.chunkNo)
    const queues: ConsumeQueue[] = []
    let queue: ConsumeQueue | undefined
    let chunkNo = -1
    for (const header of headers) {
      const topic = byId.get(header.topicId)
      if (topic === undefined) {
        this.chunks.freeSlot(header.slot)
        continue
      }
      if (queue === undefined || queue.topic !== topic || queue.queueId !== header.queueId) {
        queue = this.obtain(topic, header.queueId)
        queues.push(queue)
      } else if (header.chunkNo === chunkNo) {
        this.chunks.freeSlot(header.slot)
        continue
      }
      chunkNo = header.chunkNo
      queue.adopt(header)
    }
    // One for all: ten thousand queues would make 70 MB of garbage.
    const scratch = new Uint8Array(CHUNK_BYTES)
    for (const loaded of queues) if (loaded.settle(vouched.logEnd, scratch)) this.touch(loaded)
    return undefined
  }

  /** Chunks whose headers are written; on disk after `sync`. */
  get chunkCount(): number {
    return this.chunks.headerCount
  }

  /** End of the topics' file; after `sync` on disk. */
  get topicsEnd(): number {
    return this.topics.endBytes
  }

  find(topic: string, queueId: number): ConsumeQueue | undefined {
    return this.topics.get(topic)?.queue(queueId)
  }

  obtain(topic: Topic, queueId: number): ConsumeQueue {
    let queue = topic.queue(queueId)
    if (queue === undefined) {
      queue = new ConsumeQueue(topic, queueId, this.chunks)
      topic.addQueue(queue)
    }
    return queue
  }

  /** Of those that have, or had, messages. */
  idsByTopic(): Map<string, readonly number[]> {
    const all = new Map<string, readonly number[]>()
    for (const topic of this.topics.values()) {
      const ids: number[] = []
      for (const queue of topic.queues) if (queue.maxOffset > 0) ids.push(queue.queueId)
      ids.sort((a, b) => a - b)
      if (ids.length > 0) all.set(topic.name, ids)
    }
    return all
  }

  dispatch(record: DispatchRecord): void {
    if (!entersQueue(record.sysFlag)) return
    const queue = record.topic.queue(record.queueId) ?? this.obtain(record.topic, record.queueId)
    if (queue.append(record.queueOffset, record)) this.tookEntry(queue)
  }

  /** Takes up the rows of a run; `topics` are those that the kernel knows, by slot. */
  endRun({ words, rows, rowNumbers, entries }: Derivation, topics: readonly (Topic | undefined)[]): void {
    const rowCount = words[DERIVED.rows] as number
    let entry = 0
    for (let i = 0; i < rowCount; i++) {
      const row = i * ROW.words
      const queueId = rows[row + ROW.queueId] as number
      const topic = topics[rows[row + ROW.topicSlot] as number] as Topic
      const queue = topic.queue(queueId) ?? this.obtain(topic, queueId)
      const queueOffset = rowNumbers[i * ROW.numbers + ROW.queueOffset] as number
      const recordEnd = rowNumbers[i * ROW.numbers + ROW.recordEnd] as number
      const tagsCode = rows[row + ROW.tagsCode] as number
      const count = rows[row + ROW.count] as number
      // Those that it has already are repetitions.
      let done = queueOffset >= queue.maxOffset ? 0 : Math.min(count, queue.maxOffset - queueOffset)
      while (done < count) {
        done += queue.appendDerived(queueOffset + done, entries, entry + done, count - done, recordEnd, tagsCode)
        this.tookEntry(queue)
      }
      entry += count
    }
  }

  private tookEntry(queue: ConsumeQueue): void {
    if (queue.nextOffset < queue.maxOffset) queue.nextOffset = queue.maxOffset
    if (queue.announced) {
      queue.announced = false
      this.arrivals.push(queue)
    }
    this.touch(queue)
  }

  /** The queue's tail has something that is not on file. */
  touch(queue: ConsumeQueue): void {
    if (queue.queuedForCheckpoint) return
    queue.queuedForCheckpoint = true
    this.dirty.push(queue)
  }

  /** Tells of each queue that got messages since the last call, once. */
  announce(listeners: readonly ArrivalListener[], onError: (error: unknown) => void): void {
    if (this.arrivals.length === 0) return
    const arrivals = this.arrivals
    this.arrivals = []
    for (const queue of arrivals) {
      queue.announced = true
      for (const listener of listeners) {
        try {
          listener(queue.topic.name, queue.queueId, queue.maxOffset, queue.lastTagsCode)
        } catch (error) {
          onError(error)
        }
      }
    }
  }

  /** The queues whose tails are to be written; from now on they count as clean. */
  takeDirty(): ConsumeQueue[] {
    const dirty = this.dirty
    this.dirty = []
    for (const queue of dirty) queue.queuedForCheckpoint = false
    return dirty
  }

  /** Puts chunks on file that are complete, and wait for others. */
  writeWaiting(): void {
    this.chunks.writeWaiting()
  }

  /** What was given away and not written is given away again. */
  dropUnwritten(): void {
    for (const topic of this.topics.values()) for (const queue of topic.queues) queue.nextOffset = queue.maxOffset
  }

  /** Corrects the first offsets after the log has lost its beginning; a few queues a turn. */
  async trimBefore(minPhysicalOffset: number, pause: () => Promise<void>): Promise<void> {
    if (minPhysicalOffset === 0) return
    const scratch = new Uint8Array(CHUNK_BYTES)
    let count = 0
    for (const topic of Array.from(this.topics.values())) {
      for (const queue of Array.from(topic.queues)) {
        const first = firstAtOrAfter(queue, minPhysicalOffset, scratch)
        if (first > queue.minOffset) queue.trimBefore(first)
        if (++count % LIMITS.tailsPerTurn === 0) await pause()
      }
    }
  }

  delete(topic: Topic): void {
    for (const queue of topic.queues) queue.release()
    const gone = (queue: ConsumeQueue) => queue.topic !== topic
    this.dirty = this.dirty.filter(gone)
    this.arrivals = this.arrivals.filter(gone)
    topic.forgetQueues()
    this.topics.delete(topic)
  }

  async sync(): Promise<void> {
    await this.topics.sync()
    await this.chunks.sync()
  }

  close(): void {
    this.topics.close()
    this.chunks.close()
  }
}
