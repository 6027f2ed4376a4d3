import { viewOf } from '../bytes.ts'
import type { IndexEntry, IndexFile } from './index-file.ts'
import { INDEX_ENTRY_BYTES } from './index-file.ts'

/** Read at once where a damaged entry breaks the chain and the entries are walked one by one. */
export const WALK_ENTRIES = 4_096
/** Keys looked at in the log to find a damaged entry's. */
const REDERIVED_KEYS = 65_536

/** One key of a stored message, as it enters the index. */
export interface StoredKey {
  readonly hash: number
  readonly physicalOffset: number
  readonly storeTime: number
}

/** The keys of the messages from a position of the log on, in the order in which they entered the index. */
export type KeysInLog = (physicalOffset: number) => Iterable<StoredKey>

/**
 * A damaged entry, from the log: it belongs to the keys behind those of the entries before it. Written back, so that this happens
 * once. Undefined when the log does not tell: its message has expired, or is damaged itself. `log.from`: where the keys of the file's
 * first entry may lie.
 */
export function rederive(
  file: IndexFile,
  number: number,
  log: { readonly from: number; readonly keysInLog: KeysInLog },
): IndexEntry | undefined {
  // The sound entries before it, back to the beginning of a message's keys.
  const known: IndexEntry[] = []
  for (let n = number - 1; n > 0 && known.length < REDERIVED_KEYS; n--) {
    const entry = file.entry(n, WALK_ENTRIES)
    if (entry === undefined) return undefined
    if (known.length > 0 && entry.physicalOffset !== known[0]?.physicalOffset) break
    known.unshift(entry)
  }
  const from = known[0]?.physicalOffset ?? log.from
  const next = number < file.entryCount ? file.entry(number + 1) : undefined
  const window: StoredKey[] = []
  let count = 0
  for (const key of log.keysInLog(from)) {
    window.push(key)
    // The keys before, the wanted one, the one behind it.
    if (window.length > known.length + 2) window.shift()
    const wanted = window[known.length]
    const behind = window[known.length + 1]
    const isPlaced = known.every((entry, i) => isSame(entry, window[i])) && (known.length > 0 || next !== undefined || from === 0)
    if (isPlaced && wanted !== undefined && (next === undefined || isSame(next, behind))) return writeBack(file, number, wanted)
    if (++count > REDERIVED_KEYS) break
  }
  return undefined
}

function writeBack(file: IndexFile, number: number, key: StoredKey): IndexEntry {
  const { hash, physicalOffset, storeTime } = key
  const entry = { hash, physicalOffset, storeTime, previous: newestBefore(file, number, hash % file.slotCount) }
  const bytes = new Uint8Array(INDEX_ENTRY_BYTES)
  file.encode(viewOf(bytes), 0, number, entry)
  try {
    file.writeEntries(bytes, 1, number)
  } catch {
    // It is found again the next time.
  }
  return entry
}

function newestBefore(file: IndexFile, number: number, slot: number): number {
  for (let n = number - 1; n > 0; n--) {
    const entry = file.entry(n, WALK_ENTRIES)
    if (entry !== undefined && entry.hash % file.slotCount === slot) return n
  }
  return 0
}

function isSame(entry: IndexEntry, key: StoredKey | undefined): boolean {
  return entry.hash === key?.hash && entry.physicalOffset === key.physicalOffset
}
