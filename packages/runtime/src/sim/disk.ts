import { posix } from 'node:path'
import { assert } from '../assert.ts'
import type { Disk, DiskFile } from '../disk.ts'
import { SimDiskFile } from './disk-file.ts'
import type { DiskMachine } from './disk-machine.ts'
import { diskError } from './disk-machine.ts'
import type { Inode } from './inode.ts'
import { normalPath } from './name-space.ts'

/** Files in memory, with a disk's ways of failing. One per life of a node: after a crash it answers nothing. */
export class SimDisk implements Disk {
  readonly isSimulated = true
  readonly #machine: DiskMachine
  readonly #nowMs: () => number
  #life = { over: false }

  constructor(machine: DiskMachine, nowMs: () => number) {
    this.#machine = machine
    this.#nowMs = nowMs
  }

  open(path: string, options: { readonly create?: boolean; readonly readOnly?: boolean } = {}): DiskFile {
    const normal = normalPath(path)
    const { names } = this.#machine
    if (names.folders.has(normal)) throw diskError('EISDIR', 'is a folder:', path)
    let inode = names.files.get(normal)
    if (!inode) {
      if (!options.create || options.readOnly) throw diskError('ENOENT', 'no such file', path)
      this.makeDirectory(posix.dirname(normal))
      inode = names.create(normal)
      inode.modifiedMs = this.#nowMs()
    }
    return new SimDiskFile({
      path,
      inode,
      machine: this.#machine,
      life: this.#life,
      readOnly: options.readOnly ?? false,
      nowMs: this.#nowMs,
    })
  }

  exists(path: string): boolean {
    return this.stat(path) !== undefined
  }

  list(path: string): string[] {
    return this.#machine.names.list(normalPath(path))
  }

  makeDirectory(path: string): void {
    const normal = normalPath(path)
    for (let at = normal; at !== '/' && at !== '.'; at = posix.dirname(at)) {
      if (this.#machine.names.files.has(at)) throw diskError(at === normal ? 'EEXIST' : 'ENOTDIR', 'a file is in the way:', path)
    }
    this.#machine.names.makeFolder(normal)
  }

  rename(from: string, to: string): void {
    const { names } = this.#machine
    const [source, target] = [normalPath(from), normalPath(to)]
    if (!this.exists(source)) throw diskError('ENOENT', 'nothing to rename at', from)
    if (!names.folders.has(posix.dirname(target))) throw diskError('ENOENT', 'no folder to rename into at', to)
    if (names.folders.has(target) && names.list(target).length > 0) throw diskError('ENOTEMPTY', 'folder to replace is not empty:', to)
    if (source !== target) names.rename(source, target)
  }

  remove(path: string): void {
    const normal = normalPath(path)
    if (this.exists(normal)) this.#machine.names.remove(normal)
  }

  async discard(path: string): Promise<void> {
    await this.#machine.pool(this.#life)
    this.remove(path)
  }

  stat(path: string): { sizeBytes: number; modifiedMs: number; isDirectory: boolean } | undefined {
    const normal = normalPath(path)
    const inode = this.#machine.names.files.get(normal)
    if (inode) return { sizeBytes: inode.visible.size, modifiedMs: inode.modifiedMs, isDirectory: false }
    return this.#machine.names.folders.has(normal) ? { sizeBytes: 0, modifiedMs: 0, isDirectory: true } : undefined
  }

  syncDirectory(path: string): void {
    const normal = normalPath(path)
    if (!this.#machine.names.folders.has(normal)) throw diskError('ENOENT', 'no such folder', path)
    this.#machine.names.syncFolder(normal)
  }

  async settleDirectory(path: string): Promise<void> {
    await this.#machine.pool(this.#life)
    this.syncDirectory(path)
  }

  space(): { totalBytes: number; freeBytes: number } {
    const { capacityBytes, usedBytes } = this.#machine
    return { totalBytes: capacityBytes, freeBytes: Math.max(0, capacityBytes - usedBytes) }
  }

  readText(path: string): string | undefined {
    const inode = this.#machine.names.files.get(normalPath(path))
    if (!inode) return undefined
    const bytes = new Uint8Array(inode.visible.size)
    inode.visible.read(bytes, 0)
    return new TextDecoder().decode(bytes)
  }

  writeTextAtomically(path: string, text: string): void {
    const temporary = `${path}.tmp`
    this.remove(temporary)
    const file = this.open(temporary, { create: true })
    const bytes = new TextEncoder().encode(text)
    file.write(bytes, 0, bytes.length, 0)
    file.syncNow()
    file.close()
    this.rename(temporary, path)
    this.syncDirectory(posix.dirname(normalPath(path)))
  }

  // From here on: what only a simulation can do.

  /** Power off: each unsynced write is kept, lost or torn by the seed; open files are dead, and what they had under way never ends. */
  crash(): void {
    this.endLife()
    this.#machine.crash()
  }

  /** The process is killed: its open files are dead, but the platform keeps every byte that was written. */
  endLife(): void {
    this.#life.over = true
    this.#life = { over: false }
  }

  /** Writes beyond this fail with ENOSPC, after a part of their bytes. */
  setCapacity(bytes: number): void {
    this.#machine.capacityBytes = bytes
  }

  setLatency(latencyMs: { readonly min: number; readonly max: number }): void {
    this.#machine.latencyMs = latencyMs
  }

  /** The next `count` syncs fail with EIO; what they covered is kept, lost or torn by the seed, and no later sync saves it. */
  failSyncs(count: number, matches: (path: string) => boolean = () => true): void {
    this.#machine.failures.push({ call: 'sync', code: 'EIO', matches, left: count })
  }

  failWrites(count: number, code = 'EIO', matches: (path: string) => boolean = () => true): void {
    this.#machine.failures.push({ call: 'write', code, matches, left: count })
  }

  failReads(count: number, matches: (path: string) => boolean = () => true): void {
    this.#machine.failures.push({ call: 'read', code: 'EIO', matches, left: count })
  }

  /** Rot: one bit of a file is wrong from now on. By default the seed picks which. */
  flipBit(path: string, position?: number): void {
    const inode = this.#inode(path)
    assert(inode.visible.size > 0, `'${path}' is empty: it has no bit to flip`)
    inode.flipBit(position ?? this.#machine.random.integer(inode.visible.size), this.#machine.random.integer(8))
  }

  /** How many writes to a file a crash may still take back. */
  unsyncedWrites(path: string): number {
    return this.#inode(path).unsyncedChanges
  }

  /** Calls since the world began. */
  get counts(): { readonly writes: number; readonly syncs: number } {
    return { writes: this.#machine.writes, syncs: this.#machine.syncs }
  }

  #inode(path: string): Inode {
    const inode = this.#machine.names.files.get(normalPath(path))
    if (!inode) throw diskError('ENOENT', 'no such file', path)
    return inode
  }
}
