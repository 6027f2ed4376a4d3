import { getInt64 } from '../bytes.ts'
import type { CommitLog } from '../commit-log/commit-log.ts'
import { AT, entersQueue } from '../commit-log/record.ts'
import { plausibleSize } from '../commit-log/record-check.ts'
import type { ConsumeQueues } from '../consume-queue/consume-queues.ts'
import { topicRange } from '../dispatch/record-parser.ts'

/** Queue offsets that were given to records which could not be written are given again. */
export function takeBackOffsets(log: CommitLog, queues: ConsumeQueues): void {
  const { bytes, view } = log.ring
  for (let offset = log.writtenOffset; offset < log.endOffset; ) {
    const at = log.ring.locate(offset, 8)
    const size = at < 0 ? 0 : plausibleSize(view, at, log.endOffset - offset)
    if (size === 0) return
    const range = topicRange(bytes, view, at)
    const topic = range === undefined ? undefined : queues.topics.find(bytes, range.start, range.end)
    const queue = topic?.queue(view.getInt32(at + AT.queueId))
    if (queue !== undefined && entersQueue(view.getInt32(at + AT.sysFlag))) {
      queue.nextOffset = Math.min(queue.nextOffset, getInt64(view, at + AT.queueOffset))
    }
    offset += size
  }
}
