import { join } from 'node:path'
import type { Disk, Log } from '@skylarkmq/runtime'
import { getInt64, viewOf } from '../bytes.ts'
import type { FileName } from './compacted-file.ts'
import { CompactedFile, fileName, parseFileName } from './compacted-file.ts'
import { ENTRY, ENTRY_BYTES } from './entry.ts'

/** Where an entry is: of which file, which block, which place in it. */
interface Place {
  readonly entries: Uint8Array
  readonly at: number
}

/**
 * The compacted part of one queue: files that together cover the queue offsets `[from, to)`, oldest first. Which of them count is
 * decided by their names and footers alone: a newer generation replaces what it covers, and only whole files count, so that there is no
 * list beside them that could disagree.
 */
export class CompactedQueue {
  readonly topic: string
  readonly queueId: number
  readonly directory: string
  files: readonly CompactedFile[] = []
  private generation = 0
  private readonly disk: Disk
  private readonly log: Log

  constructor(disk: Disk, log: Log, directory: string, topic: string, queueId: number) {
    this.disk = disk
    this.log = log
    this.directory = directory
    this.topic = topic
    this.queueId = queueId
  }

  /** First queue offset that is covered; undefined when nothing is compacted yet. */
  get from(): number | undefined {
    return this.files[0]?.from
  }

  /** First queue offset behind the compacted part. */
  get to(): number | undefined {
    return this.files.at(-1)?.to
  }

  /** Takes over what is on file. `logFrom`: the first offset that the commit log still has (infinite when it has none). */
  load(logFrom: number): void {
    const taken: CompactedFile[] = []
    const doubtful: FileName[] = []
    for (const name of this.names()) {
      this.generation = Math.max(this.generation, name.generation)
      if (taken.some((file) => overlaps(file, name))) {
        this.removeFile(name)
        continue
      }
      const file = CompactedFile.open(this.disk, this.pathOf(name), name)
      if (file === undefined) doubtful.push(name)
      else taken.push(file)
    }
    for (const name of doubtful) {
      // Unfinished by a crash: what it was made of is there. Else it is damaged: what can be read of it is all there is.
      if (logFrom <= name.from || taken.some((file) => overlaps(file, name))) this.removeFile(name)
      else {
        this.log.error('the end of a compacted file is damaged; its records are read without it', { path: this.pathOf(name) })
        taken.push(CompactedFile.salvage(this.disk, this.pathOf(name), name))
      }
    }
    this.files = this.withoutGaps(
      taken.sort((a, b) => a.from - b.from),
      logFrom,
    )
  }

  /** Where a file is missing the log is asked again, if it goes back so far: what lies behind the gap is then made anew. */
  private withoutGaps(files: CompactedFile[], logFrom: number): CompactedFile[] {
    let end = Math.min(logFrom, files[0]?.from ?? 0)
    for (const [i, file] of files.entries()) {
      if (file.from > end) {
        const fields = { topic: this.topic, queueId: this.queueId, from: end, to: file.from }
        if (logFrom <= end) {
          this.log.warn('a compacted file is missing: it is made anew from the commit log', fields)
          for (const later of files.splice(i)) later.close(() => this.disk.remove(later.path))
          return files
        }
        this.log.error('a compacted file is missing, and the commit log no longer has its messages', fields)
      }
      end = file.to
    }
    return files
  }

  private names(): FileName[] {
    const names: FileName[] = []
    for (const text of this.disk.list(this.directory)) {
      const name = parseFileName(text)
      if (name !== undefined) names.push(name)
    }
    return names.sort((a, b) => b.generation - a.generation)
  }

  pathOf(name: FileName): string {
    return join(this.directory, fileName(name))
  }

  private removeFile(name: FileName): void {
    this.disk.remove(this.pathOf(name))
  }

  nextName(from: number, to: number): FileName {
    return { from, to, generation: ++this.generation }
  }

  /** Puts the (finished, durable) file in the place of those that it covers; returns these. */
  adopt(name: FileName): readonly CompactedFile[] {
    const file = CompactedFile.open(this.disk, this.pathOf(name), name)
    if (file === undefined) throw new Error(`the compacted file ${this.pathOf(name)} was written and does not read back`)
    const replaced = this.files.filter((old) => overlaps(old, name))
    this.files = [...this.files.filter((old) => !overlaps(old, name)), file].sort((a, b) => a.from - b.from)
    return replaced
  }

  /** The first entry at or behind `queueOffset`. Reads on the main thread: two small blocks. */
  entryAtOrAfter(queueOffset: number): { readonly queueOffset: number; readonly storeTimestamp: number } | undefined {
    for (const file of this.files) {
      if (file.to <= queueOffset || file.blockCount === 0) continue
      for (let block = file.blockOf(queueOffset); block < file.blockCount; block++) {
        const found = firstOf(file.readIndexNow(block), (view, at) => getInt64(view, at + ENTRY.queueOffset) >= queueOffset)
        if (found !== undefined) return factsOf(found)
      }
    }
    return undefined
  }

  /** The first entry whose store time is at or behind `timestamp`. */
  entryByTime(timestamp: number): { readonly queueOffset: number; readonly storeTimestamp: number } | undefined {
    for (const file of this.files) {
      let low = 0
      let high = file.blockCount
      while (low < high) {
        const middle = (low + high) >>> 1
        const entries = file.readIndexNow(middle)
        if (entries.length === 0 || getInt64(viewOf(entries), entries.length - ENTRY_BYTES + ENTRY.storeTimestamp) < timestamp)
          low = middle + 1
        else high = middle
      }
      if (low === file.blockCount) continue
      const found = firstOf(file.readIndexNow(low), (view, at) => getInt64(view, at + ENTRY.storeTimestamp) >= timestamp)
      if (found !== undefined) return factsOf(found)
    }
    return undefined
  }

  /** The last entry before `queueOffset`. */
  entryBefore(queueOffset: number): { readonly queueOffset: number; readonly storeTimestamp: number } | undefined {
    for (const file of this.files.toReversed()) {
      if (file.from >= queueOffset || file.blockCount === 0) continue
      for (let block = file.blockOf(queueOffset - 1); block >= 0; block--) {
        const entries = file.readIndexNow(block)
        const view = viewOf(entries)
        for (let at = entries.length - ENTRY_BYTES; at >= 0; at -= ENTRY_BYTES) {
          if (getInt64(view, at + ENTRY.queueOffset) < queueOffset) return factsOf({ entries, at })
        }
      }
    }
    return undefined
  }

  close(): void {
    for (const file of this.files) file.close()
  }
}

const overlaps = (a: { readonly from: number; readonly to: number }, b: { readonly from: number; readonly to: number }): boolean =>
  a.from < b.to && b.from < a.to

function firstOf(entries: Uint8Array, isWanted: (view: DataView, at: number) => boolean): Place | undefined {
  const view = viewOf(entries)
  for (let at = 0; at < entries.length; at += ENTRY_BYTES) if (isWanted(view, at)) return { entries, at }
  return undefined
}

function factsOf({ entries, at }: Place): { readonly queueOffset: number; readonly storeTimestamp: number } {
  const view = viewOf(entries)
  return { queueOffset: getInt64(view, at + ENTRY.queueOffset), storeTimestamp: getInt64(view, at + ENTRY.storeTimestamp) }
}
