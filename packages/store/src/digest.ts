import { AT, SYS_FLAG_BORN_HOST_V6, SYS_FLAG_STORE_HOST_V6 } from './commit-log/record.ts'

/**
 * 32-bit digests of small things that must be judged millions of times a second. Each step is a bijection of what came before, so a
 * change within one word is always noticed, others but for one in four billion. Not for bodies: those have Apache's CRC.
 */
const FACTOR = 0x9e37_79b1
const SEED = 0x5bd1_e995

export function digestOfRange(view: DataView, from: number, to: number, seed: number = SEED): number {
  let h = seed
  let at = from
  for (; at + 4 <= to; at += 4) {
    h = Math.imul(h ^ view.getInt32(at), FACTOR)
    h ^= h >>> 15
  }
  for (; at < to; at++) {
    h = Math.imul(h ^ view.getUint8(at), FACTOR)
    h ^= h >>> 15
  }
  return h | 0
}

export function digestOfWords(first: number, second: number, third: number): number {
  let h = Math.imul(SEED ^ first, FACTOR)
  h = Math.imul(h ^ (h >>> 15) ^ second, FACTOR)
  h = Math.imul(h ^ (h >>> 15) ^ third, FACTOR)
  return (h ^ (h >>> 15)) | 0
}

/**
 * Of all of a record but its body: lengths, offsets, times, hosts, topic, properties, and the body's CRC, which covers the rest. Apache's
 * layout has no room for it; we keep it beside the log, in the queue entries and in the record journal.
 */
export function recordDigest(view: DataView, at: number): number {
  const sysFlag = view.getInt32(at + AT.sysFlag)
  const bodyAt = at + AT.bornHost + (sysFlag & SYS_FLAG_BORN_HOST_V6 ? 20 : 8) + 8 + (sysFlag & SYS_FLAG_STORE_HOST_V6 ? 20 : 8) + 16
  const topicAt = bodyAt + view.getInt32(bodyAt - 4)
  return digestOfRange(view, topicAt, at + view.getInt32(at), digestOfRange(view, at, bodyAt))
}
