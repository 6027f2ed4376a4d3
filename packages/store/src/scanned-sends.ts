import { SCANNED } from '@skylarkmq/remoting/protocol'
import type { Kernel } from '@skylarkmq/remoting/protocol'
import type { Capacity } from './admission.ts'
import { FIXED_BYTES } from './commit-log/record.ts'
import type { ScannedSend } from './types.ts'

/** Sends whose parts lie in the kernel's memory: what `append` does with objects, with addresses. */
export class ScannedSends {
  private readonly kernel: Kernel
  private bornHost: Uint8Array | undefined

  constructor(kernel: Kernel) {
    this.kernel = kernel
  }

  get queueId(): number {
    return this.kernel.words[SCANNED.queueId] as number
  }

  sizeOf({ bornHost, storeHost, bodyStart, bodyEnd }: ScannedSend): number {
    const { words } = this.kernel
    const topicLength = words[SCANNED.topicLength] as number
    const propertiesLength = (words[SCANNED.propertiesLength] as number) + (words[SCANNED.stampLength] as number)
    return (
      FIXED_BYTES +
      bornHost.length +
      storeHost.length +
      (bodyEnd - bodyStart) +
      topicLength +
      (topicLength > 127 ? 1 : 0) +
      propertiesLength
    )
  }

  reasonAgainst(send: ScannedSend, size: number, capacity: Capacity): string | undefined {
    const bodyBytes = send.bodyEnd - send.bodyStart
    if (bodyBytes > capacity.maxMessageBytes) return `the body has ${bodyBytes} bytes, maxMessageSize is ${capacity.maxMessageBytes}`
    return size > capacity.maxAppendBytes ? `the message has ${size} bytes, a segment takes ${capacity.maxAppendBytes}` : undefined
  }

  useHosts(bornHost: Uint8Array, storeHost: Uint8Array): void {
    if (bornHost === this.bornHost) return
    this.kernel.setHosts(bornHost, storeHost)
    this.bornHost = bornHost
  }

  /** Writes the record at position `at` of the ring. */
  encode(send: ScannedSend, at: number, sizeBytes: number, queueOffset: number, physicalOffset: number, storeTimestamp: number): void {
    const { kernel } = this
    const { calls, ringAt } = kernel
    const { bornHost, sysFlag, bytes, bodyStart, bodyEnd, bodyAt } = send
    this.useHosts(bornHost, send.storeHost)
    if (bodyAt === 0) kernel.bytes.set(bytes.subarray(bodyStart, bodyEnd), calls.bodyAtOf(ringAt + at, sysFlag))
    const bodyLength = bodyEnd - bodyStart
    calls.encodeSend(
      ringAt + at,
      sizeBytes,
      this.queueId,
      sysFlag,
      queueOffset,
      physicalOffset,
      storeTimestamp,
      bodyAt,
      bodyLength,
      send.slot,
    )
  }
}
