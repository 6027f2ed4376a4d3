import type { SeededRandom } from './random.ts'
import { SparseBytes } from './sparse-bytes.ts'

const SECTOR_BYTES = 512

type Change =
  | { readonly kind: 'write'; readonly position: number; readonly bytes: Uint8Array }
  | { readonly kind: 'resize'; readonly size: number }

/**
 * A file's bytes, twice: as every reader sees them, and as a crash finds them. Between the two lie the changes since the last sync,
 * each of which a crash keeps, loses or tears.
 */
export class Inode {
  visible = new SparseBytes()
  durable = new SparseBytes()
  modifiedMs = 0
  reservedBytes = 0
  #changes: Change[] = []
  /** Number of changes ever made durable or dropped: a sync that was overtaken by a later one must not repeat its work. */
  #settled = 0

  /** A point in the sequence of changes, for `settle`. */
  get mark(): number {
    return this.#settled + this.#changes.length
  }

  get unsyncedChanges(): number {
    return this.#changes.length
  }

  get usedBytes(): number {
    return Math.max(this.visible.storedBytes, this.reservedBytes)
  }

  write(bytes: Uint8Array, position: number): void {
    this.visible.write(bytes, position)
    this.#changes.push({ kind: 'write', position, bytes: Uint8Array.from(bytes) })
  }

  resize(size: number): void {
    this.visible.resize(size)
    this.reservedBytes = Math.min(this.reservedBytes, size)
    this.#changes.push({ kind: 'resize', size })
  }

  /** All changes before the mark are on the disk. */
  settle(mark: number): void {
    for (const change of this.#take(mark)) this.#apply(change)
  }

  /** A sync failed: the platform forgets what it covered, and no later sync brings it back. */
  lose(mark: number, random: SeededRandom): void {
    for (const change of this.#take(mark)) this.#applyPerhaps(change, random)
  }

  crash(random: SeededRandom): void {
    this.lose(this.mark, random)
    this.visible = this.durable.copy()
  }

  /** Damage that no software has done: in the copy that is read and in the one that lasts. */
  flipBit(position: number, bit: number): void {
    for (const copy of [this.visible, this.durable]) {
      const byte = new Uint8Array(1)
      if (copy.read(byte, position) === 0) continue
      byte[0] = (byte[0] as number) ^ (1 << bit)
      copy.write(byte, position)
    }
  }

  #take(mark: number): Change[] {
    const taken = this.#changes.splice(0, Math.max(0, mark - this.#settled))
    this.#settled += taken.length
    return taken
  }

  #apply(change: Change): void {
    if (change.kind === 'write') this.durable.write(change.bytes, change.position)
    else this.durable.resize(change.size)
  }

  #applyPerhaps(change: Change, random: SeededRandom): void {
    const fate = random.pick(['keep', 'lose', 'tear'] as const)
    if (fate === 'keep') this.#apply(change)
    else if (fate === 'tear' && change.kind === 'write') this.#tear(change.bytes, change.position, random)
  }

  /** Some of its sectors are on the disk, in no order. The size reaches as far as the last of them. */
  #tear(bytes: Uint8Array, position: number, random: SeededRandom): void {
    let at = 0
    while (at < bytes.length) {
      const end = Math.min(bytes.length, at + SECTOR_BYTES - ((position + at) % SECTOR_BYTES))
      if (random.chance(0.5)) this.durable.write(bytes.subarray(at, end), position + at)
      at = end
    }
  }
}
