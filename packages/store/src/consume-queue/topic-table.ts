import { join } from 'node:path'
import type { Disk, DiskFile } from '@skylarkmq/runtime'
import { utf8, viewOf } from '../bytes.ts'
import { crc32OfRange } from '../crc32.ts'
import { Topic } from './topic.ts'

const HEAD_BYTES = 16

/**
 * Topic names and their numbers, appended to a small file: u32 CRC of what follows · u32 id · u64 created-at · u16 length · name.
 * Lookup is by the name's bytes, so that a record's topic costs no string.
 */
export class TopicTable {
  private readonly byName = new Map<string, Topic>()
  private readonly byHash = new Map<number, Topic[]>()
  private readonly file: DiskFile
  private fileEnd = 0
  private nextId = 0
  /** Rises when a topic is forgotten. */
  version = 0
  /** Entries of new topics, which the next checkpoint puts on file. */
  private unwritten: Uint8Array[] = []

  constructor(disk: Disk, directory: string) {
    this.file = disk.open(join(directory, 'topics'), { create: true })
  }

  /** Bytes of the file that are written. */
  get endBytes(): number {
    return this.fileEnd
  }

  /**
   * Reads the file; the newest entry of a name counts. `isDeleted` tells of names whose entry is of a deleted topic. In words why the
   * file cannot be believed: less than `endAtLeast` bytes of it are whole.
   */
  load(endAtLeast: number, isDeleted: (name: string, createdAt: number) => boolean): Map<number, Topic> | string {
    const size = this.file.sizeBytes()
    const bytes = new Uint8Array(size)
    const view = viewOf(bytes)
    this.file.readNow(bytes, 0, size, 0)
    let at = 0
    while (at + HEAD_BYTES + 2 <= size) {
      const length = view.getUint16(at + HEAD_BYTES)
      const end = at + HEAD_BYTES + 2 + length
      if (length === 0 || end > size || view.getUint32(at) !== crc32OfRange(bytes, at + 4, end)) break
      const id = view.getUint32(at + 4)
      const createdAt = view.getUint32(at + 8) * 0x1_0000_0000 + view.getUint32(at + 12)
      const name = utf8.decode(bytes.subarray(at + HEAD_BYTES + 2, end))
      const older = this.byName.get(name)
      if (older !== undefined) this.forget(older)
      if (!isDeleted(name, createdAt)) this.remember(new Topic(name, id, createdAt))
      this.nextId = Math.max(this.nextId, id + 1)
      at = end
    }
    if (at < endAtLeast) return `the entry at ${at} in topics is damaged`
    this.fileEnd = at
    const byId = new Map<number, Topic>()
    for (const topic of this.byName.values()) byId.set(topic.id, topic)
    return byId
  }

  get(name: string): Topic | undefined {
    return this.byName.get(name)
  }

  /** The topic, made when it is new. */
  obtain(name: string, createdAt: number): Topic {
    const present = this.byName.get(name)
    if (present !== undefined) return present
    const topic = new Topic(name, this.nextId++, createdAt)
    const entry = new Uint8Array(HEAD_BYTES + 2 + topic.bytes.length)
    const view = viewOf(entry)
    view.setUint32(4, topic.id)
    view.setUint32(8, Math.floor(createdAt / 0x1_0000_0000))
    view.setUint32(12, createdAt >>> 0)
    view.setUint16(HEAD_BYTES, topic.bytes.length)
    entry.set(topic.bytes, HEAD_BYTES + 2)
    view.setUint32(0, crc32OfRange(entry, 4, entry.length))
    this.unwritten.push(entry)
    this.remember(topic)
    return topic
  }

  /** The topic whose name is `bytes[start, end)`, if known. */
  find(bytes: Uint8Array, start: number, end: number, hash = nameHash(bytes, start, end)): Topic | undefined {
    const candidates = this.byHash.get(hash)
    if (candidates === undefined) return undefined
    for (const topic of candidates) if (equal(topic.bytes, bytes, start, end)) return topic
    return undefined
  }

  delete(topic: Topic): void {
    this.forget(topic)
  }

  values(): IterableIterator<Topic> {
    return this.byName.values()
  }

  async sync(): Promise<void> {
    if (this.unwritten.length === 0) return
    const bytes = Buffer.concat(this.unwritten)
    this.file.write(bytes, 0, bytes.length, this.fileEnd)
    this.fileEnd += bytes.length
    this.unwritten = []
    await this.file.sync()
  }

  close(): void {
    this.file.close()
  }

  private remember(topic: Topic): void {
    this.byName.set(topic.name, topic)
    const hash = nameHash(topic.bytes, 0, topic.bytes.length)
    const same = this.byHash.get(hash)
    if (same === undefined) this.byHash.set(hash, [topic])
    else same.push(topic)
  }

  private forget(topic: Topic): void {
    this.version++
    this.byName.delete(topic.name)
    const hash = nameHash(topic.bytes, 0, topic.bytes.length)
    const rest = (this.byHash.get(hash) ?? []).filter((other) => other !== topic)
    if (rest.length === 0) this.byHash.delete(hash)
    else this.byHash.set(hash, rest)
  }
}

/** As the kernel makes it. */
function nameHash(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0
  for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + (bytes[i] as number)) | 0
  return hash
}

function equal(name: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (name.length !== end - start) return false
  for (let i = 0; i < name.length; i++) if (name[i] !== bytes[start + i]) return false
  return true
}
