/**
 * The records that an answer to a pull consists of: by the entries of their queue, where they lie in memory side by side with others. Each is
 * looked at where it is and copied once, to where the answer leaves from.
 */
import { get32, setWord } from './bytes'
import { digestOfRange, isAsWritten, MAGIC_V1, MAGIC_V2 } from './record'
import { PICKED_BYTES, PICKS_BYTES } from '../src/protocol/kernel/layout'

/** Of a consume queue: see `consume-queue/entry.ts` of the store. */
const ENTRY_BYTES = 28
/** All of a record but what is of any length. */
const RECORD_BYTES_MIN = 91

@inline
function get64(at: usize): i64 {
  return <i64>bswap<u64>(load<u64>(at))
}

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
  const low = <i64>from
  const high = <i64>end
  let message = <i64>queueOffset
  let bytes = bytesBefore
  let taken = 0
  for (; taken < count; taken++, entry += ENTRY_BYTES, message++, picks += PICKS_BYTES) {
    if (<u32>get32(entry + 24) != digestOfRange(entry, entry + 24, <u32>(place + taken))) return -1
    const logOffset = get64(entry)
    const size = get32(entry + 8)
    if (size < RECORD_BYTES_MIN) return -1
    if (logOffset < low || logOffset + <i64>size > high) break
    // The first one always goes.
    if (bytes > 0 && bytes + size > bytesMax) break
    const record = at + <usize>(logOffset - low)
    const magic = get32(record + 4)
    if (get32(record) != size || (magic != MAGIC_V1 && magic != MAGIC_V2) || get32(record + 12) != queueId) return -1
    if (get64(record + 20) != message || get64(record + 28) != logOffset) return -1
    if (isOld && isAsWritten(record, size, get32(entry + 20)) == 0) return -1
    store<u32>(picks, <u32>record)
    store<i32>(picks, size, 4)
    bytes += size
  }
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
