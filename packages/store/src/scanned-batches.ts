import { SCANNED } from '@skylarkmq/remoting/protocol'
import type { Kernel } from '@skylarkmq/remoting/protocol'
import type { Capacity } from './admission.ts'
import { FIXED_BYTES } from './commit-log/record.ts'
import type { RecordHosts } from './record-hosts.ts'
import type { ScannedBatch } from './types.ts'

/** `appendBatch` asks room for a little more than a record takes; this is more than that little. */
const MARGIN_BYTES = 64

/** Batches whose messages lie in the kernel's memory: what `appendBatch` does with objects, with addresses. */
export class ScannedBatches {
  private readonly kernel: Kernel
  private readonly hosts: RecordHosts

  constructor(kernel: Kernel, hosts: RecordHosts) {
    this.kernel = kernel
    this.hosts = hosts
  }

  /** Of the batch whose header was scanned. */
  get queueId(): number {
    return this.kernel.words[SCANNED.queueId] as number
  }

  /** Bytes of the batch's records together; -1 when `appendBatch` would have something to say, or might. */
  measure(batch: ScannedBatch, { maxAppendBytes, maxMessageBytes }: Capacity): number {
    const { calls, words } = this.kernel
    const { bodyAt, bodyLength } = batch
    if (bodyLength > maxMessageBytes) return -1
    const total = calls.measureBatch(bodyAt, bodyLength, this.overheadOf(batch))
    return total + (words[SCANNED.batchCount] as number) * MARGIN_BYTES > maxAppendBytes ? -1 : total
  }

  /**
   * Writes the records at position `at` of the ring, where `measure` has just said that they take `total` bytes; the first gets these
   * offsets, the others those behind it. Physical offsets of all.
   */
  encode(
    batch: ScannedBatch,
    at: number,
    total: number,
    assigned: { readonly queueOffset: number; readonly physicalOffset: number; readonly storeTimestamp: number },
  ): number[] {
    const { calls, ringAt, ring } = this.kernel
    const { bodyAt, bodyLength, sysFlag } = batch
    const { queueOffset, physicalOffset, storeTimestamp } = assigned
    this.hosts.use(batch.bornHost, batch.storeHost)
    calls.encodeBatch(ringAt + at, bodyAt, bodyLength, this.overheadOf(batch), sysFlag, queueOffset, physicalOffset, storeTimestamp)
    const physicalOffsets: number[] = []
    for (let i = 0; i < total; i += ring.readInt32BE(at + i)) physicalOffsets.push(physicalOffset + i)
    return physicalOffsets
  }

  /** Of each record, beside body and properties of its sender. */
  private overheadOf({ bornHost, storeHost }: ScannedBatch): number {
    const { words } = this.kernel
    return (
      FIXED_BYTES + bornHost.length + storeHost.length + (words[SCANNED.topicLength] as number) + (words[SCANNED.stampLength] as number)
    )
  }
}
