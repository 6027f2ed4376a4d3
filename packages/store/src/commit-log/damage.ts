import { join } from 'node:path'
import type { Disk } from '@skylarkmq/runtime'
import { getInt64, viewOf } from '../bytes.ts'
import { bodyCrc } from '../crc32.ts'
import { recordDigest } from '../digest.ts'
import { topicRange } from '../dispatch/record-parser.ts'
import type { MessageToStore } from '../types.ts'
import type { DamagedRange, ExpectedRecord } from './log-scanner.ts'
import { AT, BLANK_MARKER_BYTES, encodeRecord, entersQueue, MAGIC_BLANK, recordBytes } from './record.ts'
import { checkRecord, plausibleSize } from './record-check.ts'
import type { Segments } from './segments.ts'

const ROLLED_BACK = 0xc
/** User flag of a filler that keeps a lost message's place in its queue. */
const KEEPS_PLACE = 0x534b_5950
const LOOPBACK = new Uint8Array([127, 0, 0, 1, 0, 0, 0, 0])
const TOPIC = new TextEncoder().encode('RMQ_SYS_SKYLARK_DAMAGED')
const PIECE_BYTES = 1024 * 1024
/** What a record takes beside topic, body and properties. */
const OVERHEAD_BYTES = recordBytes(filler(new Uint8Array(0)), new Uint8Array(0))

/** A damaged place of the log, and the file to which its bytes were saved. */
export interface ContainedDamage extends DamagedRange {
  readonly savedTo: string | undefined
}

/**
 * Puts something readable where the log is damaged: records that no view takes up, or the marker of a segment's end. So whoever walks
 * the log, Apache's broker too, comes past; it would drop all that follows. The damaged bytes are saved first.
 */
export function containDamage(
  disk: Disk,
  segments: Segments,
  range: DamagedRange,
  options: { readonly folder: string; readonly storeTimestamp: number; readonly lost?: Uint8Array | undefined },
): ContainedDamage {
  const savedTo = save(disk, segments, range, options.folder)
  const end = range.offset + range.bytes
  for (let offset = range.offset; offset < end; ) {
    const segment = segments.find(offset)
    if (segment === undefined) break
    const stop = Math.min(end, segment.endOffset)
    if (stop - offset <= OVERHEAD_BYTES && stop !== segment.endOffset) break
    const isRest = stop === segment.endOffset
    const piece = { offset, bytes: options.lost?.length ?? pieceOf(stop - offset) }
    const bytes = isRest ? blankMarker(stop - offset) : fillerRecord(piece, options.storeTimestamp, options.lost)
    segment.file.write(bytes, 0, bytes.length, offset - segment.startOffset)
    offset = isRest ? stop : offset + bytes.length
  }
  return { ...range, savedTo }
}

/** The bytes of a damaged record of which only the body is wrong: it still tells whose place in which queue it had. */
export function damagedInBody(
  segments: Segments,
  { offset, bytes: size }: DamagedRange,
  expected?: ExpectedRecord,
): Uint8Array | undefined {
  const segment = segments.find(offset)
  if (segment === undefined || expected?.sizeBytes !== size) return undefined
  const bytes = new Uint8Array(size)
  const view = viewOf(bytes)
  if (segment.readNow(bytes, 0, size, offset) < size || plausibleSize(view, 0, size) !== size) return undefined
  if (checkRecord(bytes, view, 0, offset, false) !== undefined || recordDigest(view, 0) !== expected.digest) return undefined
  return bytes
}

export interface ClaimedPlace {
  readonly record: Uint8Array
  readonly topic: Uint8Array
  readonly queueId: number
  readonly queueOffset: number
}

/** The place in a queue that a damaged record names, for what that is worth: these fields may be what is damaged. */
export function claimedPlace(segments: Segments, { offset, bytes: size }: DamagedRange): ClaimedPlace | undefined {
  const segment = segments.find(offset)
  if (segment === undefined || size > segment.endOffset - offset || size < BLANK_MARKER_BYTES) return undefined
  const head = new Uint8Array(BLANK_MARKER_BYTES)
  if (segment.readNow(head, 0, head.length, offset) < head.length || plausibleSize(viewOf(head), 0, size) !== size) return undefined
  const record = new Uint8Array(size)
  const place = segment.readNow(record, 0, size, offset) < size ? undefined : placeOf(record)
  return place === undefined ? undefined : { record, ...place }
}

/** How much of `rest` one record fills: what remains must have room for another. */
function pieceOf(rest: number): number {
  return rest <= PIECE_BYTES + OVERHEAD_BYTES + TOPIC.length ? rest : PIECE_BYTES
}

function blankMarker(room: number): Uint8Array {
  const bytes = new Uint8Array(BLANK_MARKER_BYTES)
  viewOf(bytes).setInt32(0, room)
  viewOf(bytes).setInt32(4, MAGIC_BLANK)
  return bytes
}

/** Is this (rolled back) record one of ours, which nobody sent? */
export function isFiller(view: DataView): boolean {
  return getInt64(view, AT.bornTimestamp) === 0
}

/** Is this record a filler that stands for a lost message, and names its queue and offset? */
export function keepsPlace(view: DataView, at: number): boolean {
  return (
    view.getInt32(at + AT.flag) === KEEPS_PLACE &&
    view.getInt32(at + AT.sysFlag) === ROLLED_BACK &&
    getInt64(view, at + AT.bornTimestamp) === 0
  )
}

function filler(body: Uint8Array, place?: { readonly queueId: number }): MessageToStore {
  return {
    topic: '',
    queueId: place?.queueId ?? 0,
    flag: place === undefined ? 0 : KEEPS_PLACE,
    sysFlag: ROLLED_BACK,
    bornTimestamp: 0,
    bornHost: LOOPBACK,
    storeHost: LOOPBACK,
    reconsumeTimes: 0,
    preparedTransactionOffset: 0,
    body,
    properties: new Uint8Array(0),
  }
}

function fillerRecord({ offset, bytes: sizeBytes }: Piece, storeTimestamp: number, lost?: Uint8Array): Uint8Array {
  const place = lost === undefined ? undefined : placeOf(lost)
  // What was one record has room for one; a name of one character is enough, since it enters no queue.
  const topic = place?.topic ?? TOPIC.subarray(0, Math.max(1, Math.min(TOPIC.length, sizeBytes - OVERHEAD_BYTES)))
  const message = filler(new Uint8Array(Math.max(0, sizeBytes - recordBytes(filler(new Uint8Array(0)), topic))), place)
  const bytes = new Uint8Array(sizeBytes)
  encodeRecord(bytes, viewOf(bytes), 0, message, topic, {
    sizeBytes,
    bodyCrc: bodyCrc(message.body),
    queueOffset: place?.queueOffset ?? 0,
    physicalOffset: offset,
    storeTimestamp,
  })
  return bytes
}

interface Piece {
  readonly offset: number
  readonly bytes: number
}

function placeOf(record: Uint8Array): { topic: Uint8Array; queueId: number; queueOffset: number } | undefined {
  const view = viewOf(record)
  const range = entersQueue(view.getInt32(AT.sysFlag)) ? topicRange(record, view, 0) : undefined
  if (range === undefined) return undefined
  return { topic: record.subarray(range.start, range.end), queueId: view.getInt32(AT.queueId), queueOffset: getInt64(view, AT.queueOffset) }
}

function save(disk: Disk, segments: Segments, range: DamagedRange, folder: string): string | undefined {
  const path = join(folder, `${String(range.offset).padStart(20, '0')}.bytes`)
  try {
    disk.makeDirectory(folder)
    const file = disk.open(path, { create: true })
    try {
      const piece = new Uint8Array(PIECE_BYTES)
      for (let done = 0; done < range.bytes; ) {
        const segment = segments.find(range.offset + done)
        if (segment === undefined) break
        const length = Math.min(PIECE_BYTES, range.bytes - done, segment.endOffset - range.offset - done)
        const got = segment.readNow(piece, 0, length, range.offset + done)
        file.write(piece, 0, got, done)
        done += length
      }
      file.syncNow()
    } finally {
      file.close()
    }
    return path
  } catch (error) {
    // A full disk keeps nobody from opening the store.
    if ((error as { code?: unknown }).code !== 'ENOSPC') throw error
    return undefined
  }
}
