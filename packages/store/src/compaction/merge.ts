import type { Log } from '@skylarkmq/runtime'
import { getInt64, viewOf } from '../bytes.ts'
import { AT } from '../commit-log/record.ts'
import { plausibleSize } from '../commit-log/record-check.ts'
import type { CompactedFile } from './compacted-file.ts'
import type { CompactedWriter } from './compacted-writer.ts'
import { crcOf, ENTRY, ENTRY_BYTES } from './entry.ts'
import { KeySet, roundOf } from './key-set.ts'
import type { Pace } from './pace.ts'
import type { Scratch, WorkingMemory } from './working-memory.ts'

/** Blocks whose keys are looked at before a pause. Each is a slice of its own: it is read in between. */
const KEY_BLOCKS_PER_SLICE = 4
const PAGES_PER_SLICE = 1
/** Blocks of which nothing is current, stepped over in one slice. */
const SKIPS_PER_SLICE = 64

export interface MergeRules {
  readonly pace: Pace
  readonly log: Log
  readonly mapBytes: number
  readonly memory: WorkingMemory
  /** Tombstones that count since then or longer go; undefined keeps all. */
  readonly dropTombstonesUpTo: number | undefined
  /** Throws when the store stops. */
  readonly check: () => void
}

/** Writes to `writer` what is current of the files, which are neighbours in ascending order. */
export async function mergeFiles(files: readonly CompactedFile[], writer: CompactedWriter, rules: MergeRules): Promise<void> {
  const current = await findCurrent(files, rules)
  let ordinal = 0
  let skipped = 0
  for (const file of files) {
    for (let block = 0; block < file.blockCount; block++) {
      const count = file.entriesOf(block)
      if (current.any(ordinal, count)) await copyBlock(file, block, ordinal, current, writer, rules)
      else if (++skipped % SKIPS_PER_SLICE === 0) await rules.pace.pause()
      ordinal += count
    }
  }
}

/** A bit for each entry. */
class Marks {
  private readonly bits: Uint8Array

  constructor(count: number, memory: Scratch) {
    this.bits = memory.take(Math.ceil(count / 8)).fill(0)
  }

  set(i: number): void {
    this.bits[i >>> 3] = (this.bits[i >>> 3] as number) | (1 << (i & 7))
  }

  has(i: number): boolean {
    return (((this.bits[i >>> 3] as number) >>> (i & 7)) & 1) === 1
  }

  any(from: number, count: number): boolean {
    for (let i = from; i < from + count; i++) if (this.has(i)) return true
    return false
  }
}

/** The newest entry of each key, from the newest file to the oldest: the first that is met is the one. */
async function findCurrent(files: readonly CompactedFile[], rules: MergeRules): Promise<Marks> {
  const total = files.reduce((sum, file) => sum + file.entries, 0)
  const current = new Marks(total, rules.memory.marks)
  const rounds = Math.max(1, Math.ceil(total / KeySet.capacity(rules.mapBytes)))
  let blocks = 0
  for (let round = 0; round < rounds; round++) {
    const keys = new KeySet(Math.ceil(total / rounds), rules.memory.keyPages)
    while (!keys.prepare(PAGES_PER_SLICE)) await rules.pace.pause()
    let ordinal = total
    for (const file of files.toReversed()) {
      for (let block = file.blockCount - 1; block >= 0; block--) {
        ordinal -= file.entriesOf(block)
        const entries = await file.readIndex(block, rules.memory.index)
        const count = Math.min(file.entriesOf(block), entries.length / ENTRY_BYTES)
        markCurrent(entries, count, keys, round, rounds, (i) => current.set(ordinal + i))
        rules.check()
        if (++blocks % KEY_BLOCKS_PER_SLICE === 0) await rules.pace.pause()
      }
    }
    keys.giveBack()
  }
  return current
}

/** Marks, from the last to the first, the entries whose key was not met before; those without a key are never out of date. */
export function markCurrent(
  entries: Uint8Array,
  count: number,
  keys: KeySet,
  round: number,
  rounds: number,
  mark: (i: number) => void,
): void {
  const view = viewOf(entries)
  for (let i = count - 1; i >= 0; i--) {
    const at = i * ENTRY_BYTES
    if (view.getInt32(at + ENTRY.hasKey) === 0) mark(i)
    else if (roundOf(view, at + ENTRY.key, rounds) === round && keys.add(view, at + ENTRY.key)) mark(i)
  }
}

async function copyBlock(
  file: CompactedFile,
  block: number,
  ordinal: number,
  current: Marks,
  writer: CompactedWriter,
  rules: MergeRules,
): Promise<void> {
  const entries = await file.readIndex(block, rules.memory.index)
  const view = viewOf(entries)
  const count = Math.min(file.entriesOf(block), entries.length / ENTRY_BYTES)
  if (count === 0) return
  const start = getInt64(view, ENTRY.position)
  const last = (count - 1) * ENTRY_BYTES
  const length = getInt64(view, last + ENTRY.position) + view.getInt32(last + ENTRY.size) - start
  const records = rules.memory.records.take(length)
  const got = await file.read(records, length, start)
  const recordView = viewOf(records)
  for (let i = 0; i < count; i++) {
    const at = i * ENTRY_BYTES
    if (!current.has(ordinal + i)) continue
    const since = getInt64(view, at + ENTRY.tombstoneSince)
    if (since > 0 && rules.dropTombstonesUpTo !== undefined && since <= rules.dropTombstonesUpTo) continue
    const place = getInt64(view, at + ENTRY.position) - start
    if (isRecordOf(records, recordView, place, got, view, at)) writer.add(records, place, view.getInt32(at + ENTRY.size), entries, at)
    else {
      rules.log.error('a compacted record is damaged and left out; the rest of its file is kept', {
        path: file.path,
        position: place + start,
        queueOffset: getInt64(view, at + ENTRY.queueOffset),
      })
    }
    if (!writer.isFull) continue
    await writer.flush()
    rules.check()
    await rules.pace.pause()
  }
}

/** Is the undamaged record that the entry means at `place`? */
export function isRecordOf(bytes: Uint8Array, view: DataView, place: number, end: number, entries: DataView, at: number): boolean {
  const size = entries.getInt32(at + ENTRY.size)
  return (
    place >= 0 &&
    place + size <= end &&
    plausibleSize(view, place, size) === size &&
    getInt64(view, place + AT.queueOffset) === getInt64(entries, at + ENTRY.queueOffset) &&
    crcOf(bytes, place, place + size) === entries.getUint32(at + ENTRY.crc)
  )
}
