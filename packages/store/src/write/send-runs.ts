import { RUN, RUN_STOP, SLOT } from '@skylarkmq/remoting/protocol'
import type { Kernel } from '@skylarkmq/remoting/protocol'
import type { CommitLog } from '../commit-log/commit-log.ts'
import type { ConsumeQueues } from '../consume-queue/consume-queues.ts'
import type { Topic } from '../consume-queue/topic.ts'
import { LIMITS } from '../limits.ts'
import type { RecordHosts } from './record-hosts.ts'
import type { SendRun } from '../types.ts'

/** Sends that the kernel takes by the run: what `append` does with objects, with addresses. */
export class SendRuns {
  private readonly kernel: Kernel
  private readonly hosts: RecordHosts
  private readonly log: CommitLog
  private readonly queues: ConsumeQueues

  constructor(kernel: Kernel, hosts: RecordHosts, log: CommitLog, queues: ConsumeQueues) {
    this.kernel = kernel
    this.hosts = hosts
    this.log = log
    this.queues = queues
  }

  /**
   * Appends what the kernel takes of the run, and gives out queue offsets: how many messages. Throws what the disk threw when there was no room
   * without a write; nothing was taken then.
   */
  take(run: SendRun, topic: Topic, storeTimestamp: number): number {
    const { log } = this
    const { words } = this.kernel
    this.hosts.use(run.bornHost, run.storeHost)
    const unwritten = log.endOffset - log.writtenOffset
    let room = Math.min(log.room, LIMITS.earlyWriteBytes - unwritten)
    let count = this.encode(run, room, storeTimestamp, run.isScanned)
    if (count === 0 && words[RUN.stop] === RUN_STOP.room) {
      room = words[RUN.neededBytes] as number
      if (room > log.maxAppendBytes) return 0
      count = this.encode(run, room, storeTimestamp, true)
    }
    if (count === 0) return 0
    this.giveOffsets(topic, run.slot, count)
    log.advance(words[RUN.bytes] as number)
    return count
  }

  private encode({ at, end, slot, slots }: SendRun, room: number, storeTimestamp: number, isScanned: boolean): number {
    const { calls, ringAt } = this.kernel
    const recordAt = room > 0 ? ringAt + this.log.reserve(room) : 0
    const { endOffset } = this.log
    return calls.takeSends(at, end, recordAt, Math.max(0, room), endOffset, storeTimestamp, slot, slots, isScanned ? 1 : 0)
  }

  private giveOffsets(topic: Topic, slot: number, count: number): void {
    const { calls, ints, floats } = this.kernel
    for (let i = 0, at = slot; i < count; i++, at += SLOT.bytes) {
      const queueId = ints[(at + SLOT.queueId) >> 2] as number
      const queue = topic.queue(queueId) ?? this.queues.obtain(topic, queueId)
      floats[(at + SLOT.queueOffset) >> 3] = queue.nextOffset++
    }
    calls.putQueueOffsets(slot, count)
  }
}
