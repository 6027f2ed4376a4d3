import type { DiskFile } from '@skylarkmq/runtime'
import { setInt64, viewOf } from '../bytes.ts'

/**
 * RocketMQ StoreCheckpoint, 4096 bytes. We state the log's own time only: with the queues' and index' times at zero, Apache's broker
 * derives its consume queues from the whole log, which is right since we write none of them.
 */
export function writeApacheCheckpoint(file: DiskFile, physicMsgTimestamp: number, flushedOffset: number): void {
  const bytes = new Uint8Array(4096)
  const view = viewOf(bytes)
  setInt64(view, 0, physicMsgTimestamp)
  setInt64(view, 24, flushedOffset)
  file.write(bytes, 0, bytes.length, 0)
}
