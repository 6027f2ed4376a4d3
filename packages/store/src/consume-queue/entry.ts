import { ROW } from '@skylarkmq/remoting/protocol'
import { getInt64, setInt64 } from '../bytes.ts'
import { digestOfRange } from '../digest.ts'

/**
 * int64 physical offset · int32 size · int64 tags code (RocketMQ ConsumeQueue, 20 bytes) · int32 digest of the record · int32 check of
 * this entry in its place. An entry whose check is wrong was never written, or is damaged: what belongs there is found in the log.
 */
export const ENTRY_BYTES = ROW.entryWords * Int32Array.BYTES_PER_ELEMENT
/** A file holds them in chunks. */
export const CHUNK_ENTRIES = 256
export const CHUNK_BYTES = CHUNK_ENTRIES * ENTRY_BYTES

/** A place whose message is lost for good has size 0. */
export interface QueueEntry {
  readonly physicalOffset: number
  readonly sizeBytes: number
  readonly tagsCode: number
  readonly digest: number
}

export const LOST_ENTRY: QueueEntry = { physicalOffset: 0, sizeBytes: 0, tagsCode: 0, digest: 0 }

/** `place`: a number that no other place of any queue is likely to have. */
export function writeEntry(view: DataView, at: number, place: number, entry: QueueEntry): void {
  setInt64(view, at, entry.physicalOffset)
  view.setInt32(at + 8, entry.sizeBytes)
  setInt64(view, at + 12, entry.tagsCode)
  view.setInt32(at + 20, entry.digest)
  view.setInt32(at + 24, digestOfRange(view, at, at + 24, place))
}

export function isSound(view: DataView, at: number, place: number): boolean {
  return view.getInt32(at + 24) === digestOfRange(view, at, at + 24, place)
}

export function physicalOffsetAt(view: DataView, at: number): number {
  return getInt64(view, at)
}

export function sizeAt(view: DataView, at: number): number {
  return view.getInt32(at + 8)
}

export function tagsCodeAt(view: DataView, at: number): number {
  return getInt64(view, at + 12)
}

export function digestAt(view: DataView, at: number): number {
  return view.getInt32(at + 20)
}
