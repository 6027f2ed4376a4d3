import { join } from 'node:path'
import type { Disk } from '@skylarkmq/runtime'
import { javaHashOfUtf8, viewOf } from '../bytes.ts'
import { isRollback } from '../commit-log/record.ts'
import type { DispatchRecord, DispatchTarget } from '../dispatch/dispatch-target.ts'
import { get48, INDEX_ENTRY_BYTES, IndexFile, set48 } from './index-file.ts'

const SPACE = 32
/** The first file is small, since most stores are; each next one is larger, up to 4 MiB of slots. */
const FIRST_SLOTS = 65_536
const LARGEST_SLOTS = 1_048_576
const ENTRIES_PER_SLOT = 4
/** Entries that wait in memory for one write. */
const PENDING_ENTRIES = 1_024

export interface IndexPosition {
  readonly sequence: number
  readonly entries: number
}

/** Finds messages by KEYS and UNIQ_KEY: a view of the log in hash files. */
export class KeyIndex implements DispatchTarget {
  private readonly disk: Disk
  private readonly directory: string
  private readonly firstSlots: number
  /** Oldest first; the last one grows. */
  private files: IndexFile[] = []
  private growing!: IndexFile
  private readonly pending = new Uint8Array(PENDING_ENTRIES * INDEX_ENTRY_BYTES)
  private readonly pendingView = viewOf(this.pending)
  private pendingCount = 0
  /** Full files whose slots are not all on file yet. */
  private sealing: IndexFile[] = []
  private sealed: IndexFile | undefined
  private syncedSequence = 0

  constructor(disk: Disk, directory: string, firstSlots = FIRST_SLOTS) {
    this.disk = disk
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
    )
    if (growing === undefined) return false
    this.growing = growing
    this.files.push(growing)
    return true
  }

  private openFull(sequence: number): IndexFile | undefined {
    const slots = this.slotsOf(sequence)
    const file = IndexFile.openGrowing(this.disk, this.pathOf(sequence), sequence, slots, slots * ENTRIES_PER_SLOT)
    if (file !== undefined) this.sealing.push(file)
    return file
  }

  private begin(sequence: number): void {
    this.growing = IndexFile.create(this.disk, this.pathOf(sequence), sequence, this.slotsOf(sequence))
    this.files.push(this.growing)
  }

  private slotsOf(sequence: number): number {
    return Math.min(LARGEST_SLOTS, this.firstSlots * 4 ** Math.min(sequence - 1, 10))
  }

  private pathOf(sequence: number): string {
    return join(this.directory, `${String(sequence).padStart(8, '0')}.index`)
  }

  /** RocketMQ IndexService#buildIndex: the unique key, and each of the words in KEYS; rolled back messages have none. */
  dispatch(record: DispatchRecord): void {
    if (isRollback(record.sysFlag)) return
    if (record.uniqKeyEnd > record.uniqKeyStart) this.add(record, record.uniqKeyStart, record.uniqKeyEnd)
    let start = record.keysStart
    for (let i = start; i <= record.keysEnd; i++) {
      if (i < record.keysEnd && record.bytes[i] !== SPACE) continue
      if (i > start) this.add(record, start, i)
      start = i + 1
    }
  }

  private add(record: DispatchRecord, start: number, end: number): void {
    let file = this.growing
    if (file.entryCount >= file.slotCount * ENTRIES_PER_SLOT) {
      this.writePending()
      this.sealing.push(file)
      this.begin(file.sequence + 1)
      file = this.growing
    }
    const hash = positive(javaHashOfUtf8(record.bytes, start, end, record.topic.keyHashSeed))
    const slot = hash % file.slotCount
    const slots = file.slots as Int32Array
    const view = this.pendingView
    const at = this.pendingCount * INDEX_ENTRY_BYTES
    view.setUint32(at, hash)
    view.setUint32(at + 4, slots[slot] as number)
    set48(view, at + 8, record.physicalOffset)
    set48(view, at + 14, record.storeTimestamp)
    file.cover(record.physicalOffset, record.storeTimestamp)
    slots[slot] = ++file.entryCount
    if (++this.pendingCount === PENDING_ENTRIES) this.writePending()
  }

  private writePending(): void {
    if (this.pendingCount === 0) return
    this.growing.writeEntries(this.pending, this.pendingCount, this.growing.entryCount - this.pendingCount + 1)
    this.pendingCount = 0
  }

  /** Positions of messages whose key has this hash, newest first. `hash` is Java's of `topic#key`. */
  query(hash: number, max: number, beginMs: number, endMs: number, accept: (physicalOffset: number) => boolean): number[] {
    this.writePending()
    const wanted = positive(hash)
    const found: number[] = []
    for (let f = this.files.length - 1; f >= 0 && found.length < max; f--) {
      const file = this.files[f] as IndexFile
      if (file.entryCount === 0 || file.beginTime > endMs || file.endTime < beginMs) continue
      let number = file.newestOf(wanted)
      while (number > 0 && found.length < max && file.load(number)) {
        const entry = file.entryBytes
        const time = get48(entry, 14)
        const physicalOffset = get48(entry, 8)
        const isNew = physicalOffset !== found[found.length - 1]
        if (entry.getUint32(0) === wanted && time >= beginMs && time <= endMs && isNew && accept(physicalOffset)) found.push(physicalOffset)
        const previous = entry.getUint32(4)
        if (previous >= number) break
        number = previous
      }
    }
    return found
  }

  /** How much there is; on disk after `write` and `sync`. */
  get position(): IndexPosition {
    return { sequence: this.growing.sequence, entries: this.growing.entryCount }
  }

  /** Puts on file what is in memory, and a piece of the slots of a full file. */
  write(): void {
    this.writePending()
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
  expireBefore(minPhysicalOffset: number): void {
    while (this.files.length > 1) {
      const oldest = this.files[0] as IndexFile
      if (oldest.endOffset >= minPhysicalOffset || this.sealing.includes(oldest)) return
      this.files.shift()
      oldest.close()
      this.disk.remove(oldest.path)
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

/** RocketMQ IndexFile#indexKeyHashMethod. */
function positive(hash: number): number {
  const absolute = Math.abs(hash)
  return absolute > 0x7fffffff ? 0 : absolute
}
