/** Digests of runs of records (`digest.ts` of the store). */
import { get32 } from './bytes'
import { digestLanes, setLane } from './lanes'
import { bodyAtOf, FACTOR, flagsOf, MAGIC_V1 } from './record'
import { LANES } from '../src/protocol/kernel/layout'

const FIXED_BYTES_MIN: usize = 92

/** A step of the digests. */
@inline
export function mix(h: u32, word: i32): u32 {
  h = (h ^ <u32>word) * FACTOR
  return h ^ (h >>> 15)
}

/** Where the body ends of the record at `at`, if its lengths are those of a record that is whole below `end`; else 0. */
@inline
export function bodyEndOf(at: usize, end: usize): usize {
  if (at + FIXED_BYTES_MIN > end || load<u32>(at, 4) != bswap<u32>(<u32>MAGIC_V1)) return 0
  const next = at + <usize>get32(at)
  const bodyAt = bodyAtOf(at, flagsOf(at))
  if (next > end || bodyAt >= next) return 0
  const bodyLength = get32(bodyAt - 4)
  return bodyLength >= 0 && <usize>bodyLength + 3 < next - bodyAt ? bodyAt + <usize>bodyLength : 0
}

/** Puts the digests of the next records at `DIGESTS_AT`: how many, `LANES` at most, 0 when there is none that is whole. */
export function digestNext(at: usize, end: usize): i32 {
  let count = 0
  let headBytes: usize = 0
  while (count < LANES) {
    const bodyEnd = bodyEndOf(at, end)
    if (bodyEnd == 0) break
    const bytes = bodyAtOf(at, flagsOf(at)) - at
    if (count > 0 && bytes != headBytes) break
    headBytes = bytes
    const next = at + <usize>get32(at)
    setLane(count++, at, bodyEnd, next)
    at = next
  }
  if (count > 0) digestLanes(count, headBytes)
  return count
}
