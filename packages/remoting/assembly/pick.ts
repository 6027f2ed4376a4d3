/**
 * The records that an answer to a pull consists of: by the entries of their queue, where they lie in memory side by side with others. Each is
 * looked at where it is and copied once, to where the answer leaves from.
 */
import { setWord, turned } from './bytes'
import { mix } from './digests'
import { areAsWritten } from './judge'
import { MAGIC_V1, MAGIC_V2 } from './record'
import { ENTRY_BYTES, PICKED_BYTES, PICKS_BYTES } from '../src/protocol/kernel/layout'

/** All of a record but what is of any length. */
const RECORD_BYTES_MIN = 91

/**
 * Notes at `picks` where the records of `count` entries lie, of which the first is of message `queueOffset`; the log's bytes `[from, end)` are at
 * `at`. Stops before a record that is not wholly among them, and when the answer, which has `bytesBefore` bytes already, would have more than
 * `bytesMax`. How many; -1 when an entry or a record is not what it should be. With `isOld` a record must also have the digest that its entry tells.
 */
export function pickRecords(
  entry: usize,
  count: i32,
  place: i32,
  queueId: i32,
  queueOffset: f64,
  from: f64,
  end: f64,
  at: usize,
  bytesBefore: i32,
  bytesMax: i32,
  isOld: bool,
  picks: usize,
): i32 {
  const firstEntry = entry
  const firstPick = picks
  const low = <i64>from
  const high = <i64>end
  // Fields of records are compared as they stand there.
  const magicV1 = bswap<u32>(<u32>MAGIC_V1)
  const magicV2 = bswap<u32>(<u32>MAGIC_V2)
  const queue = bswap<u32>(<u32>queueId)
  let message = <u64>queueOffset
  let bytes = bytesBefore
  let taken = 0
  for (; taken < count; taken++, entry += ENTRY_BYTES, message++, picks += PICKS_BYTES) {
    const head = turned(v128.load(entry))
    const rest = turned(v128.load(entry, 12))
    const offsetHigh = i32x4.extract_lane(head, 0)
    const offsetLow = i32x4.extract_lane(head, 1)
    const size = i32x4.extract_lane(head, 2)
    let check = mix(mix(mix(<u32>(place + taken), offsetHigh), offsetLow), size)
    check = mix(mix(mix(check, i32x4.extract_lane(rest, 0)), i32x4.extract_lane(rest, 1)), i32x4.extract_lane(rest, 2))
    if (<u32>i32x4.extract_lane(rest, 3) != check || size < RECORD_BYTES_MIN) return -1
    const logOffset = (<i64>offsetHigh << 32) | <i64>(<u32>offsetLow)
    if (logOffset < low || logOffset + <i64>size > high) break
    // The first one always goes.
    if (bytes > 0 && bytes + size > bytesMax) break
    const record = at + <usize>(logOffset - low)
    const magic = load<u32>(record, 4)
    if (load<u32>(record) != load<u32>(entry, 8) || (magic != magicV1 && magic != magicV2) || load<u32>(record, 12) != queue) return -1
    if (load<u64>(record, 20) != bswap<u64>(message) || load<u64>(record, 28) != load<u64>(entry)) return -1
    store<u32>(picks, <u32>record)
    store<i32>(picks, size, 4)
    bytes += size
  }
  if (isOld && !areAsWritten(firstPick, firstEntry, taken)) return -1
  setWord(PICKED_BYTES, bytes)
  return taken
}

/** Puts the records that were noted one after another to `to`; such as lie side by side in one piece. */
export function putPicks(picks: usize, count: i32, to: usize): void {
  const last = picks + <usize>(count * PICKS_BYTES)
  while (picks < last) {
    const from = load<u32>(picks)
    let length = load<u32>(picks, 4)
    picks += PICKS_BYTES
    while (picks < last && load<u32>(picks) == from + length) {
      length += load<u32>(picks, 4)
      picks += PICKS_BYTES
    }
    memory.copy(to, from, length)
    to += length
  }
}
