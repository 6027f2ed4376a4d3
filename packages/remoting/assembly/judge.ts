/** Whether records that were picked from old log are what was once written. */
import { get32 } from './bytes'
import { crc32 } from './crc32'
import { digestLanes, setLane } from './lanes'
import { bodyAtOf, topicAtOf } from './record'
import { DIGESTS_AT, ENTRY_BYTES, LANES, PICKS_BYTES } from '../src/protocol/kernel/layout'

/** Are `count` records that were noted at `picks` those with the digests that the entries at `entry` tell, and the bodies with their CRCs? */
export function areAsWritten(picks: usize, entry: usize, count: i32): bool {
  while (count > 0) {
    const judged = judgeNext(picks, entry, count)
    if (judged == 0) return false
    picks += <usize>judged * PICKS_BYTES
    entry += <usize>judged * ENTRY_BYTES
    count -= judged
  }
  return true
}

/** How many were judged side by side: those with a head of the same length. 0: something is wrong. */
function judgeNext(picks: usize, entry: usize, count: i32): i32 {
  let headBytes: usize = 0
  let judged = 0
  for (let pick = picks; judged < min(count, LANES); judged++, pick += PICKS_BYTES) {
    const at = <usize>load<u32>(pick)
    const end = at + <usize>load<u32>(pick, 4)
    const topicAt = topicAtOf(at, end)
    if (topicAt == 0) return 0
    const bytes = bodyAtOf(at, get32(at + 36)) - at
    if (judged > 0 && bytes != headBytes) break
    headBytes = bytes
    setLane(judged, at, topicAt, end)
  }
  digestLanes(judged, headBytes)
  for (let i: usize = 0; i < <usize>judged; i++) {
    if (load<i32>(DIGESTS_AT + (i << 2)) != get32(entry + i * ENTRY_BYTES + 20)) return 0
  }
  for (let i: usize = 0; i < <usize>judged; i++) {
    const at = <usize>load<u32>(picks + i * PICKS_BYTES)
    const bodyAt = at + headBytes
    if (get32(at + 8) != <i32>(crc32(bodyAt, bodyAt + <usize>get32(bodyAt - 4)) & 0x7fffffff)) return 0
  }
  return judged
}
