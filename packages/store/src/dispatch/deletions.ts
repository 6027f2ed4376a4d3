import type { Disk } from '@skylarkmq/runtime'

/**
 * Which topics were deleted, and where the log ended then: their older messages stay in the log until it is cut, but no view may
 * bring them back. Not derivable, therefore kept outside the views' folder.
 */
export class Deletions {
  private readonly disk: Disk
  private readonly path: string
  private readonly positions = new Map<string, number>()

  constructor(disk: Disk, path: string) {
    this.disk = disk
    this.path = path
    const text = disk.readText(path)
    if (text === undefined) return
    for (const [topic, position] of Object.entries(JSON.parse(text) as Record<string, unknown>)) {
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

  /** After a crash the log may end before the place of a deletion: what is appended there is not what was deleted. */
  clampTo(logEnd: number): void {
    let changed = false
    for (const [topic, position] of this.positions) {
      if (position <= logEnd) continue
      this.positions.set(topic, logEnd)
      changed = true
    }
    if (changed) this.save()
  }

  add(topic: string, position: number, minPhysicalOffset: number): void {
    for (const [name, at] of this.positions) if (at <= minPhysicalOffset) this.positions.delete(name)
    this.positions.set(topic, position)
    this.save()
  }

  private save(): void {
    this.disk.writeTextAtomically(this.path, JSON.stringify(Object.fromEntries(this.positions)))
  }
}
