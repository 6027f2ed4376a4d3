import { SCANNED } from '@skylarkmq/remoting/protocol'
import type { Kernel } from '@skylarkmq/remoting/protocol'
import type { Capacity } from './admission.ts'
import { viewOf } from '../bytes.ts'
import { FIXED_BYTES } from '../commit-log/record.ts'
import type { RecordHosts } from './record-hosts.ts'
import type { ScannedBatch } from '../types.ts'

/** `appendBatch` asks room for a little more than a record takes; this is more than that little. */
const MARGIN_BYTES = 64

/** Batches whose messages lie in the kernel's memory: what `appendBatch` does with objects, with addresses. */
export class ScannedBatches {
  private readonly kernel: Kernel
  private readonly hosts: RecordHosts
  private readonly ring: DataView

  constructor(kernel: Kernel, hosts: RecordHosts) {
    this.kernel = kernel
    this.hosts = hosts
    this.ring = viewOf(kernel.ring)
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
   * Writes the records of the batch that was measured last at position `at` of the ring; the first gets these offsets, the others those
   * behind it. Physical offsets of all.
   */
  encode(
    batch: ScannedBatch,
    at: number,
    assigned: { readonly queueOffset: number; readonly physicalOffset: number; readonly storeTimestamp: number },
  ): number[] {
    const { calls, ringAt, words } = this.kernel
    const { bodyAt, bodyLength, sysFlag } = batch
    const { queueOffset, physicalOffset, storeTimestamp } = assigned
    this.hosts.use(batch.bornHost, batch.storeHost)
    calls.encodeBatch(ringAt + at, bodyAt, bodyLength, this.overheadOf(batch), sysFlag, queueOffset, physicalOffset, storeTimestamp)
    const physicalOffsets: number[] = []
    let from = 0
    for (let left = words[SCANNED.batchCount] as number; left > 0; left--) {
      physicalOffsets.push(physicalOffset + from)
      from += this.ring.getInt32(at + from)
    }
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
