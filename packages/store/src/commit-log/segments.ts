import { join } from 'node:path'
import type { Disk, DiskFile } from '@skylarkmq/runtime'

/** One file of the log, named by the log position of its first byte. */
export class Segment {
  readonly startOffset: number
  readonly endOffset: number
  readonly file: DiskFile
  /** Reads under way off the main thread: the file is closed when the last ends. */
  private readers = 0
  private doomed = false

  constructor(startOffset: number, sizeBytes: number, file: DiskFile) {
    this.startOffset = startOffset
    this.endOffset = startOffset + sizeBytes
    this.file = file
  }

  async read(target: Uint8Array, targetStart: number, length: number, logOffset: number): Promise<number> {
    this.readers++
    try {
      return await this.file.read(target, targetStart, length, logOffset - this.startOffset)
    } finally {
      this.readers--
      if (this.doomed && this.readers === 0) this.file.close()
    }
  }

  readNow(target: Uint8Array, targetStart: number, length: number, logOffset: number): number {
    return this.file.readNow(target, targetStart, length, logOffset - this.startOffset)
  }

  /** Closes the file as soon as nobody reads it. */
  close(): void {
    if (this.doomed) return
    this.doomed = true
    if (this.readers === 0) this.file.close()
  }
}

/** RocketMQ UtilAll#offset2FileName. */
export function segmentName(startOffset: number): string {
  return String(startOffset).padStart(20, '0')
}

/**
 * The size that the segments of a log were begun with: all must have the same (RocketMQ MappedFileQueue#doLoad), so it stays whatever is
 * configured later. Undefined where nothing was written yet.
 */
export function segmentBytesIn(disk: Disk, directory: string, configured: number): number | undefined {
  const [first, second] = disk.list(directory).filter((name) => /^\d{20}$/.test(name))
  if (first === undefined) return undefined
  const path = join(directory, first)
  const size = disk.stat(path)?.sizeBytes ?? 0
  if (second !== undefined) return size > 0 && (Number(second) - Number(first)) % size === 0 ? size : undefined
  // A crash or a full disk may have left the very first one short, with something in it or not: that is no size that somebody chose.
  return size > configured || (isPowerOfTwo(size) && hasBegun(disk, path)) ? size : undefined
}

const isPowerOfTwo = (size: number): boolean => size > 0 && Number.isInteger(Math.log2(size))

function hasBegun(disk: Disk, path: string): boolean {
  const head = new Uint8Array(8)
  const file = disk.open(path, { readOnly: true })
  file.readNow(head, 0, head.length, 0)
  file.close()
  return head.some((byte) => byte !== 0)
}

/** The files of the log, oldest first. The folder holds nothing but full-length segments, or Apache's broker would not start on it. */
export class Segments {
  readonly directory: string
  readonly segmentBytes: number
  readonly all: Segment[] = []
  private readonly disk: Disk
  private next: Segment | undefined
  private preparing: Promise<void> | undefined
  private preparedUpTo = -1

  constructor(disk: Disk, directory: string, segmentBytes: number) {
    this.disk = disk
    this.directory = directory
    this.segmentBytes = segmentBytes
  }

  /** Opens what is there. Throws, with the mending configuration value, when the files have another size. */
  load(): void {
    this.disk.makeDirectory(this.directory)
    const starts = this.disk
      .list(this.directory)
      .filter((name) => /^\d{20}$/.test(name))
      .map(Number)
      .sort((a, b) => a - b)
    for (const [i, start] of starts.entries()) {
      const path = this.pathOf(start)
      const size = this.disk.stat(path)?.sizeBytes ?? 0
      const last = i === starts.length - 1
      const stride = last ? undefined : (starts[i + 1] as number) - start
      if (size === this.segmentBytes && stride !== undefined && stride !== size && stride % size === 0) {
        throw new Error(
          `The log segment ${this.pathOf(start + size)} is missing between ${segmentName(start)} and ${segmentName(starts[i + 1] as number)}. ` +
            'Put it back, or move the segments before the gap out of the folder to go on with those behind it.',
        )
      }
      if ((stride !== undefined && stride !== this.segmentBytes) || size > this.segmentBytes || (!last && size !== this.segmentBytes)) {
        throw new Error(
          `The log segment ${path} has ${size} bytes${stride === undefined ? '' : ` and the next starts ${stride} bytes later`}, but segments of ` +
            `${this.segmentBytes} bytes are configured (mappedFileSizeCommitLog). Set mappedFileSizeCommitLog=${stride ?? size} to open this store.`,
        )
      }
      const file = this.disk.open(path)
      // A crash while the file was being made leaves it short; what is missing was never written.
      if (size < this.segmentBytes) file.truncate(this.segmentBytes)
      this.all.push(new Segment(start, this.segmentBytes, file))
    }
  }

  find(logOffset: number): Segment | undefined {
    const all = this.all
    const last = all[all.length - 1]
    if (last === undefined || logOffset >= last.endOffset) return undefined
    if (logOffset >= last.startOffset) return last
    const first = all[0] as Segment
    if (logOffset < first.startOffset) return undefined
    return all[Math.floor((logOffset - first.startOffset) / this.segmentBytes)]
  }

  get minOffset(): number {
    return this.all[0]?.startOffset ?? 0
  }

  /** Makes the segment at `startOffset` ahead of need, off the main thread. Failure is left to `take`, which tries again. */
  prepare(startOffset: number): void {
    // One try per segment: on a full disk every turn would try again.
    if (startOffset <= this.preparedUpTo || this.preparing !== undefined) return
    this.preparedUpTo = startOffset
    if (this.find(startOffset) !== undefined) return
    this.preparing = this.create(startOffset).then(
      (segment) => {
        this.preparing = undefined
        if (this.find(startOffset) === undefined) this.next = segment
        else segment.close()
      },
      () => {
        this.preparing = undefined
      },
    )
  }

  /** The segment at `startOffset`, made now if it was not prepared. */
  take(startOffset: number): Segment {
    const present = this.find(startOffset)
    if (present !== undefined) return present
    let segment = this.next?.startOffset === startOffset ? this.next : undefined
    if (segment === undefined) {
      const file = this.disk.open(this.pathOf(startOffset), { create: true })
      file.truncate(this.segmentBytes)
      this.disk.syncDirectory(this.directory)
      segment = new Segment(startOffset, this.segmentBytes, file)
    }
    this.next = undefined
    this.all.push(segment)
    return segment
  }

  /** As `take`, with room reserved. For the first segment, while nobody waits. */
  async takePrepared(startOffset: number): Promise<Segment> {
    // Where no room can be reserved, `take` makes a file without.
    if (this.find(startOffset) === undefined) this.next = await this.create(startOffset).catch(() => undefined)
    return this.take(startOffset)
  }

  private async create(startOffset: number): Promise<Segment> {
    const file = this.disk.open(this.pathOf(startOffset), { create: true })
    try {
      await file.allocate(this.segmentBytes)
      await file.sync()
      this.disk.syncDirectory(this.directory)
    } catch (error) {
      file.close()
      throw error
    }
    return new Segment(startOffset, this.segmentBytes, file)
  }

  /** Removes the segments that start at or after `logOffset`. */
  removeFrom(logOffset: number): number {
    let removed = 0
    for (let last = this.all.at(-1); last !== undefined && last.startOffset >= logOffset; last = this.all.at(-1)) {
      this.all.pop()
      last.close()
      this.disk.remove(last.file.path)
      removed++
    }
    if (removed > 0) this.disk.syncDirectory(this.directory)
    return removed
  }

  pathOf(startOffset: number): string {
    return join(this.directory, segmentName(startOffset))
  }

  async close(): Promise<void> {
    await this.preparing
    this.next?.close()
    for (const segment of this.all) segment.close()
  }
}
