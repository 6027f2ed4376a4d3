import { join } from 'node:path'
import type { Derivation } from '@skylarkmq/remoting/protocol'
import type { Disk } from '@skylarkmq/runtime'
import { javaHashOfUtf8 } from '../bytes.ts'
import { isRollback } from '../commit-log/record.ts'
import type { DispatchRecord, RunTarget } from '../dispatch/dispatch-target.ts'
import type { IndexEntry } from './index-file.ts'
import { IndexFile } from './index-file.ts'
import type { KeysInLog } from './index-mender.ts'
import { rederive, WALK_ENTRIES } from './index-mender.ts'

const SPACE = 32
/** The first file is small, since most stores are; each next one is larger, up to 4 MiB of slots. */
const FIRST_SLOTS = 65_536
const LARGEST_SLOTS = 1_048_576
const ENTRIES_PER_SLOT = 4

export interface IndexPosition {
  readonly sequence: number
  readonly entries: number
}

/** An entry and where it is; undefined when it is damaged. */
export interface NumberedEntry {
  readonly path: string
  readonly number: number
  readonly entry: IndexEntry | undefined
}

/** Finds messages by KEYS and UNIQ_KEY: a view of the log in hash files. */
export class KeyIndex implements RunTarget {
  private readonly disk: Disk
  private readonly directory: string
  private readonly firstSlots: number
  private readonly derivation: Derivation | undefined
  /** Oldest first; the last one grows. */
  private files: IndexFile[] = []
  private growing!: IndexFile
  private readonly keysInLog: KeysInLog
  private readonly onDamage: (where: string) => void
  /** Full files whose slots are not all on file yet. */
  private sealing: IndexFile[] = []
  private sealed: IndexFile | undefined
  private syncedSequence = 0

  /** `derivation`: where the kernel may put entries, too. */
  constructor(
    disk: Disk,
    directory: string,
    keysInLog: KeysInLog,
    onDamage: (where: string) => void,
    derivation?: Derivation,
    firstSlots = FIRST_SLOTS,
  ) {
    this.derivation = derivation
    this.disk = disk
    this.keysInLog = keysInLog
    this.onDamage = onDamage
    this.directory = directory
    this.firstSlots = firstSlots
    disk.makeDirectory(directory)
  }

  /** Takes over what the checkpoint vouches for; returns false when that is not there, and the index must be derived anew. */
  load(position: IndexPosition | undefined): boolean {
    const sequences = this.disk
      .list(this.directory)
      .filter((name) => /^\d+\.index$/.test(name))
      .map((name) => Number.parseInt(name, 10))
      .sort((a, b) => a - b)
    if (position === undefined) {
      for (const sequence of sequences) this.disk.remove(this.pathOf(sequence))
      this.begin(1)
      return true
    }
    for (const sequence of sequences) {
      if (sequence > position.sequence) this.disk.remove(this.pathOf(sequence))
      else if (sequence < position.sequence) {
        // A full file whose slots had not all been written when the process ended is read again from its entries.
        const file = IndexFile.openSealed(this.disk, this.pathOf(sequence), sequence) ?? this.openFull(sequence)
        if (file === undefined) return false
        this.files.push(file)
      }
    }
    const growing = IndexFile.openGrowing(
      this.disk,
      this.pathOf(position.sequence),
      position.sequence,
      this.slotsOf(position.sequence),
      position.entries,
      this.derivation,
    )
    if (growing === undefined) return false
    this.growing = growing
    this.files.push(growing)
    for (const file of [...this.sealing, growing]) {
      for (const number of file.damaged) {
        const entry = this.rederive(file, number)
        const slots = file.slots as Int32Array
        if (entry === undefined) continue
        file.cover(entry.physicalOffset, entry.storeTime)
        if ((slots[entry.hash % file.slotCount] as number) < number) slots[entry.hash % file.slotCount] = number
      }
    }
    return true
  }

  private openFull(sequence: number): IndexFile | undefined {
    const slots = this.slotsOf(sequence)
    const file = IndexFile.openGrowing(this.disk, this.pathOf(sequence), sequence, slots, slots * ENTRIES_PER_SLOT)
    if (file !== undefined) this.sealing.push(file)
    return file
  }

  private begin(sequence: number): void {
    this.growing = IndexFile.create(this.disk, this.pathOf(sequence), sequence, this.slotsOf(sequence), this.derivation)
    this.files.push(this.growing)
  }

  private slotsOf(sequence: number): number {
    return Math.min(LARGEST_SLOTS, this.firstSlots * 4 ** Math.min(sequence - 1, 10))
  }

  private pathOf(sequence: number): string {
    return join(this.directory, `${String(sequence).padStart(8, '0')}.index`)
  }

  dispatch(record: DispatchRecord): void {
    forEachKey(record, this.addKey)
  }

  beginRun(run: Derivation): void {
    this.growing.beginRun(run, this.growing.slotCount * ENTRIES_PER_SLOT)
  }

  endRun(run: Derivation): void {
    this.growing.endRun(run)
  }

  private readonly addKey = (hash: number, record: DispatchRecord): void => {
    const file = this.growing
    if (file.entryCount >= file.slotCount * ENTRIES_PER_SLOT) {
      file.stopSharing()
      this.sealing.push(file)
      this.begin(file.sequence + 1)
    }
    this.growing.append(hash, record.physicalOffset, record.storeTimestamp)
  }

  /** Positions of messages whose key has this hash, newest first. `hash` is Java's of `topic#key`. */
  query(hash: number, max: number, beginMs: number, endMs: number, accept: (physicalOffset: number) => boolean): number[] {
    const wanted = positive(hash)
    const found: number[] = []
    for (let f = this.files.length - 1; f >= 0 && found.length < max; f--) {
      const file = this.files[f] as IndexFile
      if (file.entryCount === 0 || file.beginTime > endMs || file.endTime < beginMs) continue
      for (const { physicalOffset, storeTime } of this.chain(file, wanted)) {
        const isNew = physicalOffset !== found[found.length - 1]
        if (storeTime >= beginMs && storeTime <= endMs && isNew && accept(physicalOffset)) found.push(physicalOffset)
        if (found.length >= max) break
      }
    }
    return found
  }

  /** All entries as they are, oldest first. */
  *numberedEntries(): Generator<NumberedEntry> {
    for (const file of this.files) {
      for (let number = 1; number <= file.entryCount; number++) {
        yield { path: file.path, number, entry: file.entryAhead(number, WALK_ENTRIES) }
      }
    }
  }

  /** The entries of one hash in one file, newest first. Where the chain is broken, all entries are walked. */
  private *chain(file: IndexFile, hash: number): Generator<IndexEntry> {
    const newest = file.newestOf(hash)
    if (newest === undefined) this.onDamage(`a slot in ${file.path}`)
    let isWhole = newest !== undefined && newest <= file.entryCount
    let number = isWhole ? (newest as number) : file.entryCount
    while (number > 0) {
      let entry = file.entry(number, isWhole ? 1 : WALK_ENTRIES)
      if (entry === undefined) {
        entry = this.rederive(file, number)
        isWhole = false
      }
      if (entry?.hash === hash) yield entry
      const previous = isWhole ? (entry?.previous ?? 0) : number - 1
      if (previous >= number) return
      number = previous
    }
  }

  /** A damaged entry, from the log. */
  private rederive(file: IndexFile, number: number): IndexEntry | undefined {
    this.onDamage(`entry ${number} in ${file.path}`)
    // The first keys of a file lie in the newest message of the file before, or behind it.
    const from = this.files[this.files.indexOf(file) - 1]?.endOffset ?? 0
    return rederive(file, number, { from, keysInLog: this.keysInLog })
  }

  /** How much there is; on disk after `write` and `sync`. */
  get position(): IndexPosition {
    return { sequence: this.growing.sequence, entries: this.growing.entryCount }
  }

  /** Puts on file what is in memory, and a piece of the slots of a full file. */
  write(): void {
    for (const file of this.sealing) file.writePending()
    this.growing.writePending()
    const sealing = this.sealing[0]
    if (sealing?.sealStep() === true) this.sealed = sealing
  }

  async sync(): Promise<void> {
    const growing = this.growing
    for (const file of this.sealing) await file.sync()
    if (this.sealed !== undefined) {
      const file = this.sealed
      this.sealed = undefined
      file.writeHeader()
      this.sealing = this.sealing.filter((other) => other !== file)
      await file.sync()
    }
    await growing.sync()
    if (growing.sequence !== this.syncedSequence) {
      this.disk.syncDirectory(this.directory)
      this.syncedSequence = growing.sequence
    }
  }

  /** Removes files that only tell of messages before this position. */
  async expireBefore(minPhysicalOffset: number): Promise<void> {
    while (this.files.length > 1) {
      const oldest = this.files[0] as IndexFile
      if (oldest.endOffset >= minPhysicalOffset || this.sealing.includes(oldest)) return
      this.files.shift()
      oldest.close()
      await this.disk.discard(oldest.path)
    }
  }

  /** At the end: so that the next start need not read the entries of full files. */
  async finish(): Promise<void> {
    while (this.sealing.length > 0) {
      this.write()
      await this.sync()
    }
  }

  close(): void {
    for (const file of this.files) file.close()
  }
}

/** RocketMQ IndexService#buildIndex: the unique key, and each of the words in KEYS; rolled back messages have none. */
export function forEachKey(record: DispatchRecord, visit: (hash: number, record: DispatchRecord) => void): void {
  if (isRollback(record.sysFlag)) return
  const { bytes } = record
  const seed = record.topic.keyHashSeed
  if (record.uniqKeyEnd > record.uniqKeyStart) visit(positive(javaHashOfUtf8(bytes, record.uniqKeyStart, record.uniqKeyEnd, seed)), record)
  let start = record.keysStart
  for (let i = start; i <= record.keysEnd; i++) {
    if (i < record.keysEnd && bytes[i] !== SPACE) continue
    if (i > start) visit(positive(javaHashOfUtf8(bytes, start, i, seed)), record)
    start = i + 1
  }
}

/** RocketMQ IndexFile#indexKeyHashMethod. */
function positive(hash: number): number {
  const absolute = Math.abs(hash)
  return absolute > 0x7fffffff ? 0 : absolute
}
