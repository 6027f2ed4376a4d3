import type { Kernel } from '@skylarkmq/remoting/protocol'
import type { CommitLog } from '../commit-log/commit-log.ts'
import { encodeRecord, entersQueue, recordBytes } from '../commit-log/record.ts'
import type { ConsumeQueues } from '../consume-queue/consume-queues.ts'
import type { Topic } from '../consume-queue/topic.ts'
import { bodyCrc } from '../crc32.ts'
import type { MessageToStore, OnStored, ScannedBatch, SendRun } from '../types.ts'
import type { Capacity } from './admission.ts'
import { reasonAgainst, reasonAgainstBatch, reasonAgainstTopic } from './admission.ts'
import { RecordHosts } from './record-hosts.ts'
import { ScannedBatches } from './scanned-batches.ts'
import { SendRuns } from './send-runs.ts'
import type { Turns } from './turns.ts'

/** Messages become records in the log's ring, each with its place in the log and in its queue; the rest is the turn's. */
export class Appends {
  private readonly log: CommitLog
  private readonly queues: ConsumeQueues
  private readonly turns: Turns
  private readonly sendRuns: SendRuns
  private readonly scannedBatches: ScannedBatches
  private readonly capacity: Capacity
  private readonly assigned = { sizeBytes: 0, bodyCrc: 0, queueOffset: 0, physicalOffset: 0, storeTimestamp: 0 }

  constructor(kernel: Kernel, log: CommitLog, queues: ConsumeQueues, turns: Turns, maxMessageBytes: number) {
    this.log = log
    this.queues = queues
    this.turns = turns
    const hosts = new RecordHosts(kernel)
    this.sendRuns = new SendRuns(kernel, hosts, log, queues)
    this.scannedBatches = new ScannedBatches(kernel, hosts)
    this.capacity = { maxMessageBytes, maxAppendBytes: log.maxAppendBytes }
  }

  message(message: MessageToStore, waitForFlush: boolean, onStored: OnStored): void {
    const { turns } = this
    const { refusal } = turns
    if (refusal !== undefined) return turns.refuse('not-available', refusal, onStored)
    const known = this.queues.topics.get(message.topic)
    const illegal = (known === undefined ? reasonAgainstTopic(message.topic) : undefined) ?? reasonAgainst(message, this.capacity)
    if (illegal !== undefined) return turns.refuse('message-illegal', illegal, onStored)
    try {
      const topic = known ?? this.queues.topics.obtain(message.topic, this.log.endOffset)
      const size = recordBytes(message, topic.bytes)
      const at = this.log.reserve(size)
      this.put(message, topic, size, at)
    } catch (error) {
      return turns.refuseAfter(error, onStored)
    }
    const { physicalOffset, queueOffset, storeTimestamp } = this.assigned
    turns.add({ status: 'ok', physicalOffset, queueOffset, storeTimestamp }, 1, waitForFlush, onStored)
  }

  sends(run: SendRun, waitForFlush: boolean, onStored: OnStored): number {
    const { turns } = this
    const topic = turns.refusal === undefined ? this.queues.topics.get(run.topic) : undefined
    if (topic === undefined) return -1
    const storeTimestamp = turns.timestamp
    let count = 0
    try {
      count = this.sendRuns.take(run, topic, storeTimestamp)
    } catch (error) {
      // There was no room yet, so nothing of it was taken.
      turns.onWriteError(error)
      count = -1
    }
    if (count > 0) turns.add({ status: 'ok', physicalOffset: -1, queueOffset: -1, storeTimestamp }, count, waitForFlush, onStored)
    else turns.addNothing()
    return count
  }

  batch(messages: readonly MessageToStore[], waitForFlush: boolean, onStored: OnStored): void {
    const { turns } = this
    const { refusal } = turns
    if (refusal !== undefined) return turns.refuse('not-available', refusal, onStored)
    const illegal = reasonAgainstBatch(messages, this.capacity) ?? reasonAgainstTopic((messages[0] as MessageToStore).topic)
    if (illegal !== undefined) return turns.refuse('message-illegal', illegal, onStored)
    const first = messages[0] as MessageToStore
    const physicalOffsets: number[] = []
    let queueOffset = -1
    try {
      const topic = this.queues.topics.obtain(first.topic, this.log.endOffset)
      let total = 0
      for (const message of messages) total += recordBytes(message, topic.bytes)
      let at = this.log.reserve(total)
      for (const message of messages) {
        const size = recordBytes(message, topic.bytes)
        this.put(message, topic, size, at)
        at += size
        physicalOffsets.push(this.assigned.physicalOffset)
        if (queueOffset < 0) queueOffset = this.assigned.queueOffset
      }
    } catch (error) {
      return turns.refuseAfter(error, onStored)
    }
    const storeTimestamp = this.assigned.storeTimestamp
    const physicalOffset = physicalOffsets[0] as number
    turns.add({ status: 'ok', physicalOffset, queueOffset, storeTimestamp, physicalOffsets }, messages.length, waitForFlush, onStored)
  }

  scannedBatch(batch: ScannedBatch, waitForFlush: boolean, onStored: OnStored): boolean {
    const { turns } = this
    const topic = turns.refusal === undefined ? this.queues.topics.get(batch.topic) : undefined
    const size = topic === undefined ? -1 : this.scannedBatches.measure(batch, this.capacity)
    if (topic === undefined || size < 0) return false
    try {
      const at = this.log.reserve(size)
      const physicalOffset = this.log.endOffset
      const storeTimestamp = turns.timestamp
      const queue = this.queues.obtain(topic, this.scannedBatches.queueId)
      const queueOffset = queue.nextOffset
      const physicalOffsets = this.scannedBatches.encode(batch, at, { queueOffset, physicalOffset, storeTimestamp })
      queue.nextOffset += physicalOffsets.length
      this.log.advance(size)
      const result = { status: 'ok', physicalOffset, queueOffset, storeTimestamp, physicalOffsets } as const
      turns.add(result, physicalOffsets.length, waitForFlush, onStored)
    } catch (error) {
      turns.refuseAfter(error, onStored)
    }
    return true
  }

  private put(message: MessageToStore, topic: Topic, sizeBytes: number, at: number): void {
    const assigned = this.assigned
    assigned.sizeBytes = sizeBytes
    assigned.bodyCrc = bodyCrc(message.body)
    assigned.physicalOffset = this.log.endOffset
    assigned.storeTimestamp = this.turns.timestamp
    if (entersQueue(message.sysFlag)) {
      const queue = topic.queue(message.queueId) ?? this.queues.obtain(topic, message.queueId)
      assigned.queueOffset = queue.nextOffset++
    } else assigned.queueOffset = 0
    encodeRecord(this.log.ring.bytes, this.log.ring.view, at, message, topic.bytes, assigned)
    this.log.advance(sizeBytes)
  }
}
