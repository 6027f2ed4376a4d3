import { join } from 'node:path'
import type { Disk, DiskFile } from '@skylarkmq/runtime'
import { getInt64, setInt64, viewOf } from './bytes.ts'
import { crc32OfRange } from './crc32.ts'

const SLOT_BYTES = 512
const USED_BYTES = 76
/** Another format of the views' files has another number, and they are derived anew. */
const MAGIC = 0x534b_4c33

/** What the views' files vouch for. */
export interface ViewsPosition {
  /** All views are on disk up to here. */
  readonly logEnd: number
  /**
   * The last two records before `logEnd` (-1 when there is none), by which a log that was changed behind our back is noticed. Two,
   * because one that does not match may be damaged.
   */
  readonly lastRecordOffset: number
  readonly lastRecordCrc: number
  readonly secondLastRecordOffset: number
  readonly secondLastRecordCrc: number
  /** Bytes of the topics' file, and chunks of the queues' file, that are on disk. */
  readonly topicsEnd: number
  readonly slots: number
  readonly indexSequence: number
  readonly indexEntries: number
  readonly clockSteps: number
  readonly newestTime: number
}

/** Two slots, written in turn: a torn write leaves the older one. */
export class ViewsCheckpoint {
  private readonly file: DiskFile
  private sequence = 0

  constructor(disk: Disk, directory: string) {
    this.file = disk.open(join(directory, 'checkpoint'), { create: true })
  }

  load(): ViewsPosition | undefined {
    const bytes = new Uint8Array(2 * SLOT_BYTES)
    this.file.readNow(bytes, 0, bytes.length, 0)
    const view = viewOf(bytes)
    let best: ViewsPosition | undefined
    for (const at of [0, SLOT_BYTES]) {
      if (view.getUint32(at) !== MAGIC || view.getUint32(at + 4) !== crc32OfRange(bytes, at + 8, at + USED_BYTES)) continue
      const sequence = getInt64(view, at + 8)
      if (sequence <= this.sequence) continue
      this.sequence = sequence
      best = {
        logEnd: getInt64(view, at + 16),
        lastRecordOffset: getInt64(view, at + 24),
        lastRecordCrc: view.getUint32(at + 32),
        indexSequence: view.getUint32(at + 36),
        indexEntries: view.getUint32(at + 40),
        secondLastRecordOffset: getInt64(view, at + 44),
        secondLastRecordCrc: view.getUint32(at + 52),
        topicsEnd: view.getUint32(at + 56),
        slots: view.getUint32(at + 60),
        clockSteps: view.getUint32(at + 64),
        newestTime: getInt64(view, at + 68),
      }
    }
    return best
  }

  async write(position: ViewsPosition): Promise<void> {
    this.sequence++
    const bytes = new Uint8Array(USED_BYTES)
    const view = viewOf(bytes)
    view.setUint32(0, MAGIC)
    setInt64(view, 8, this.sequence)
    setInt64(view, 16, position.logEnd)
    setInt64(view, 24, position.lastRecordOffset)
    view.setUint32(32, position.lastRecordCrc)
    view.setUint32(36, position.indexSequence)
    view.setUint32(40, position.indexEntries)
    setInt64(view, 44, position.secondLastRecordOffset)
    view.setUint32(52, position.secondLastRecordCrc)
    view.setUint32(56, position.topicsEnd)
    view.setUint32(60, position.slots)
    view.setUint32(64, position.clockSteps)
    setInt64(view, 68, position.newestTime)
    view.setUint32(4, crc32OfRange(bytes, 8, USED_BYTES))
    this.file.write(bytes, 0, bytes.length, (this.sequence % 2) * SLOT_BYTES)
    await this.file.sync()
  }

  close(): void {
    this.file.close()
  }
}
