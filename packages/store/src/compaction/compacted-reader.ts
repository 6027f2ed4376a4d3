import type { Log } from '@skylarkmq/runtime'
import { getInt64, viewOf } from '../bytes.ts'
import { LIMITS } from '../limits.ts'
import type { ReadRequest, ReadResult } from '../types.ts'
import type { CompactedFile } from './compacted-file.ts'
import { ENTRY, ENTRY_BYTES } from './entry.ts'
import { isRecordOf } from './merge.ts'

/** What one read has gathered. */
interface Gathered {
  readonly bodies: Uint8Array[]
  messages: number
  bytes: number
  /** Entries looked at. */
  scanned: number
  /** Where the next read goes on. */
  next: number
}

/**
 * Reads from the compacted part of a queue, as a read of the log does: the same limits and filters. Offsets whose messages are gone are
 * stepped over; `nextOffset` is behind the last message that was looked at. `to` is the end of the compacted part.
 */
export async function readCompacted(
  files: readonly CompactedFile[],
  request: ReadRequest,
  to: number,
  log: Log,
): Promise<Pick<ReadResult, 'status' | 'body' | 'messageCount' | 'nextOffset'>> {
  const gathered: Gathered = { bodies: [], messages: 0, bytes: 0, scanned: 0, next: request.offset }
  for (const file of files) file.use()
  try {
    let isFull = false
    for (const file of files) {
      if (file.to <= request.offset || isFull) continue
      for (let block = file.blockOf(request.offset); block < file.blockCount && !isFull; block++) {
        isFull = await readBlock(file, block, request, gathered, log)
      }
    }
    if (!isFull) gathered.next = to
  } finally {
    for (const file of files) file.release()
  }
  const { bodies, messages, next } = gathered
  return {
    status: messages > 0 ? 'found' : 'no-matched-message',
    body: bodies.length === 1 ? (bodies[0] as Uint8Array) : Buffer.concat(bodies),
    messageCount: messages,
    nextOffset: next,
  }
}

/** True when the read has reached one of its limits. */
async function readBlock(file: CompactedFile, block: number, request: ReadRequest, gathered: Gathered, log: Log): Promise<boolean> {
  const entries = await file.readIndex(block)
  const view = viewOf(entries)
  const scanMax = Math.max(request.scanEntries ?? LIMITS.scanEntries, request.maxMessages)
  const wanted: number[] = []
  let wantedBytes = 0
  let isFull = false
  let next = gathered.next
  for (let at = 0; at < entries.length; at += ENTRY_BYTES) {
    const queueOffset = getInt64(view, at + ENTRY.queueOffset)
    if (queueOffset < request.offset) continue
    const size = view.getInt32(at + ENTRY.size)
    const isWanted = request.entryFilter?.(view.getInt32(at + ENTRY.tagsCode)) ?? true
    const messages = gathered.messages + wanted.length
    // The first message always goes, as in a read of the log.
    const isOver = messages >= request.maxMessages || gathered.bytes + wantedBytes + size > request.maxBytes
    isFull = gathered.scanned >= scanMax || (isWanted && messages > 0 && isOver)
    if (isFull) break
    gathered.scanned++
    next = queueOffset + 1
    if (!isWanted) continue
    wanted.push(at)
    wantedBytes += size
  }
  if (wanted.length > 0) await load(file, entries, wanted, request, gathered, log)
  gathered.next = next
  return isFull
}

async function load(
  file: CompactedFile,
  entries: Uint8Array,
  wanted: readonly number[],
  request: ReadRequest,
  gathered: Gathered,
  log: Log,
): Promise<void> {
  const view = viewOf(entries)
  for (let i = 0; i < wanted.length; ) {
    const start = getInt64(view, (wanted[i] as number) + ENTRY.position)
    let end = start
    let j = i
    for (; j < wanted.length; j++) {
      const position = getInt64(view, (wanted[j] as number) + ENTRY.position)
      if (position - end > LIMITS.coalesceGapBytes) break
      end = position + view.getInt32((wanted[j] as number) + ENTRY.size)
    }
    const bytes = Buffer.allocUnsafeSlow(end - start)
    const got = await file.read(bytes, bytes.length, start)
    keep(file, bytes, start, got, view, wanted.slice(i, j), request, gathered, log)
    i = j
  }
}

/** Moves the records that are wanted to the front of `bytes`. */
function keep(
  file: CompactedFile,
  bytes: Uint8Array,
  start: number,
  got: number,
  view: DataView,
  wanted: readonly number[],
  request: ReadRequest,
  gathered: Gathered,
  log: Log,
): void {
  const recordView = viewOf(bytes)
  let to = 0
  for (const at of wanted) {
    const place = getInt64(view, at + ENTRY.position) - start
    const size = view.getInt32(at + ENTRY.size)
    if (!isRecordOf(bytes, recordView, place, got, view, at)) {
      const queueOffset = getInt64(view, at + ENTRY.queueOffset)
      log.error('a compacted record is damaged and left out', { path: file.path, position: place + start, queueOffset })
    } else if (request.recordFilter?.(bytes.subarray(place, place + size)) ?? true) {
      bytes.copyWithin(to, place, place + size)
      to += size
      gathered.messages++
    }
  }
  gathered.bytes += to
  if (to > 0) gathered.bodies.push(bytes.subarray(0, to))
}
