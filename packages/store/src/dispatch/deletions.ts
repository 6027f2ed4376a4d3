import type { Disk } from '@skylarkmq/runtime'
import { checkedJson, withCheck } from '../checked-text.ts'

/**
 * Which topics were deleted, and where the log ended then: their older messages stay in the log until it is cut, but no view may
 * bring them back. Not derivable, therefore kept outside the views' folder.
 */
export class Deletions {
  /** The file was damaged, and what it said is not known. */
  readonly isDamaged: boolean
  private readonly disk: Disk
  private readonly path: string
  private positions = new Map<string, number>()
  private isUnsaved = false

  constructor(disk: Disk, path: string) {
    this.disk = disk
    this.path = path
    const text = disk.readText(path)
    const json = text === undefined ? '{}' : checkedJson(text)
    this.isDamaged = json === undefined
    this.isUnsaved = this.isDamaged
    for (const [topic, position] of Object.entries(JSON.parse(json ?? '{}') as Record<string, unknown>)) {
      if (typeof position === 'number') this.positions.set(topic, position)
    }
  }

  /** Is a message of `topic` at this log position one of a deleted topic? */
  covers(topic: string, physicalOffset: number): boolean {
    const position = this.positions.get(topic)
    return position !== undefined && physicalOffset < position
  }

  get isEmpty(): boolean {
    return this.positions.size === 0
  }

  /**
   * After a crash the log may end before the place of a deletion: what is appended there is not what was deleted. Nothing may be appended
   * before `save` has put that on file.
   */
  clampTo(logEnd: number): void {
    for (const [topic, position] of this.positions) {
      if (position <= logEnd) continue
      this.positions.set(topic, logEnd)
      this.isUnsaved = true
    }
  }

  add(topic: string, position: number, minPhysicalOffset: number): void {
    const positions = new Map([...this.positions].filter(([, at]) => at > minPhysicalOffset))
    this.write(positions.set(topic, position))
    this.positions = positions
  }

  /** Puts on file what `clampTo` changed. Throws what the disk threw; then it is still to be done. */
  save(): void {
    if (this.isUnsaved) this.write(this.positions)
  }

  private write(positions: ReadonlyMap<string, number>): void {
    this.disk.writeTextAtomically(this.path, withCheck(JSON.stringify(Object.fromEntries(positions))))
    this.isUnsaved = false
  }
}
