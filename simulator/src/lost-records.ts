import { decodeRecord } from '@skylarkmq/remoting/protocol'
import type { StoredMessage } from '@skylarkmq/remoting/protocol'
import type { SimDisk } from '@skylarkmq/runtime/sim'
import { COMMIT_LOG } from './paths.ts'

/** A broker's commit log as its disk has it, file by file. */
export type LogFiles = ReadonlyMap<string, Uint8Array>

const MAGIC = Buffer.from([0xda, 0xa3, 0x20])

export function logFiles(disk: SimDisk): LogFiles {
  const files = new Map<string, Uint8Array>()
  if (!disk.exists(COMMIT_LOG)) return files
  for (const name of disk.list(COMMIT_LOG).filter((each) => /^\d{20}$/.test(each))) {
    const file = disk.open(`${COMMIT_LOG}/${name}`, { readOnly: true })
    const bytes = new Uint8Array(file.sizeBytes())
    file.readNow(bytes, 0, bytes.length, 0)
    files.set(name, bytes)
  }
  return files
}

/** Records that are not, byte by byte, what they were before. */
export function* changedRecords(before: LogFiles, after: LogFiles): Generator<StoredMessage> {
  for (const [name, bytes] of before) {
    const now = after.get(name) ?? new Uint8Array(0)
    if (Buffer.compare(bytes, now) === 0) continue
    for (const { message, at } of recordsOf(Number(name), bytes)) {
      const end = at + message.sizeBytes
      if (end > now.length || Buffer.compare(bytes.subarray(at, end), now.subarray(at, end)) !== 0) yield message
    }
  }
}

/** The record that has this byte of the log. */
export function recordWith(files: LogFiles, position: number): StoredMessage | undefined {
  for (const [name, bytes] of files) {
    const at = position - Number(name)
    if (at < 0 || at >= bytes.length) continue
    for (const found of recordsOf(Number(name), bytes)) {
      if (found.at <= at && at < found.at + found.message.sizeBytes) return found.message
    }
  }
  return undefined
}

/** Whatever says of itself that it belongs there: what is damaged before it hides none. */
function* recordsOf(start: number, bytes: Uint8Array): Generator<{ readonly message: StoredMessage; readonly at: number }> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let at = 0; at >= 0 && at + 8 <= bytes.length; ) {
    const message = decodeRecord(buffer, at)
    if (message !== undefined && message.physicalOffset === start + at) {
      yield { message, at }
      at += message.sizeBytes
      continue
    }
    const next = buffer.indexOf(MAGIC, at + 5)
    at = next < 0 ? -1 : next - 4
  }
}
