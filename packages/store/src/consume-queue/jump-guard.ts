import type { DamagedRange } from '../commit-log/log-scanner.ts'
import { entersQueue } from '../commit-log/record.ts'
import type { DispatchRecord, DispatchTarget } from '../dispatch/dispatch-target.ts'
import type { ConsumeQueue } from './consume-queue.ts'
import type { ConsumeQueues } from './consume-queues.ts'

/**
 * Stands before the queues while they learn from the log. The log keeps no checksum of a queue offset: one that jumps ahead may be
 * right, its predecessors lost, or damaged, and then all between would count as repetitions. The queue's next record tells: it goes on
 * behind the jump, or before it.
 */
export class JumpGuard implements DispatchTarget {
  /** Records that were before the place that they name. */
  readonly misplaced: DamagedRange[] = []
  /** Records that name a place which an earlier one has, and the first of them. */
  repetitions = 0
  firstRepetition = -1
  private readonly queues: ConsumeQueues
  private readonly held = new Map<ConsumeQueue, DispatchRecord>()

  constructor(queues: ConsumeQueues) {
    this.queues = queues
  }

  dispatch(record: DispatchRecord): void {
    if (!entersQueue(record.sysFlag)) return
    const queue = this.queues.obtain(record.topic, record.queueId)
    const held = this.held.size > 0 ? this.held.get(queue) : undefined
    if (held !== undefined && record.queueOffset >= queue.maxOffset) {
      this.held.delete(queue)
      if (record.queueOffset > held.queueOffset) this.queues.dispatch(held)
      else this.misplaced.push(rangeOf(held, record))
    }
    if (record.queueOffset > queue.maxOffset) {
      // The record given is used for the next one, too, and the window of its bytes is large.
      if (!this.held.has(queue)) this.held.set(queue, { ...record, bytes: NO_BYTES })
    } else {
      if (record.queueOffset < queue.maxOffset && this.repetitions++ === 0) this.firstRepetition = record.physicalOffset
      this.queues.dispatch(record)
    }
  }

  /** The log has ended: what nothing contradicts counts. */
  end(): void {
    for (const record of this.held.values()) this.queues.dispatch(record)
    this.held.clear()
  }
}

const NO_BYTES = new Uint8Array(0)

function rangeOf({ physicalOffset, sizeBytes, queueOffset }: DispatchRecord, next: DispatchRecord): DamagedRange {
  const why = `queue offset ${queueOffset}, and the queue goes on with ${next.queueOffset} at ${next.physicalOffset}`
  return { offset: physicalOffset, bytes: sizeBytes, why }
}
