import { assert } from '../assert.ts'
import type { DiskFile } from '../disk.ts'
import type { DiskMachine } from './disk-machine.ts'
import { diskError } from './disk-machine.ts'
import type { Inode } from './inode.ts'

export interface OpenFile {
  readonly path: string
  readonly inode: Inode
  readonly machine: DiskMachine
  readonly life: { readonly over: boolean }
  readonly readOnly: boolean
  readonly nowMs: () => number
}

export class SimDiskFile implements DiskFile {
  readonly path: string
  readonly #file: OpenFile
  #closed = false

  constructor(file: OpenFile) {
    this.path = file.path
    this.#file = file
  }

  write(buffer: Uint8Array, offset: number, length: number, position: number): void {
    const { inode, machine } = this.#file
    this.#checkWritable()
    assert(
      offset >= 0 && length >= 0 && offset + length <= buffer.length,
      `bytes ${offset}+${length} are outside of a buffer of ${buffer.length}`,
    )
    assert(position >= 0, `cannot write at position ${position}`)
    machine.failIfOrdered('write', this.path)
    machine.writes++
    const bytes = buffer.subarray(offset, offset + length)
    const room = machine.freeBytes
    // Reserved room is never refused; elsewhere only growth takes new room.
    const growth = Math.min(length, Math.max(0, position + length - Math.max(inode.reservedBytes, inode.visible.size)))
    if (growth > Math.max(0, room)) {
      const part = machine.random.integer(length - growth + Math.max(0, room) + 1)
      if (part > 0) inode.write(bytes.subarray(0, part), position)
      throw diskError('ENOSPC', `no space left on device, write of ${length} bytes at ${position} of`, this.path)
    }
    if (length > 0) inode.write(bytes, position)
    inode.modifiedMs = this.#file.nowMs()
  }

  readNow(buffer: Uint8Array, offset: number, length: number, position: number): number {
    this.#checkOpen()
    assert(
      offset >= 0 && length >= 0 && offset + length <= buffer.length,
      `bytes ${offset}+${length} are outside of a buffer of ${buffer.length}`,
    )
    this.#file.machine.failIfOrdered('read', this.path)
    return this.#file.inode.visible.read(buffer.subarray(offset, offset + length), position)
  }

  async read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    this.#checkOpen()
    this.#file.machine.failIfOrdered('read', this.path)
    await this.#pool()
    return this.#file.inode.visible.read(buffer.subarray(offset, offset + length), position)
  }

  async sync(): Promise<void> {
    this.#checkOpen()
    const mark = this.#file.inode.mark
    await this.#pool()
    this.#settle(mark)
  }

  syncNow(): void {
    this.#checkOpen()
    this.#settle(this.#file.inode.mark)
  }

  truncate(sizeBytes: number): void {
    this.#checkWritable()
    this.#resize(sizeBytes)
  }

  async shrink(sizeBytes: number): Promise<void> {
    this.#checkWritable()
    assert(sizeBytes <= this.#file.inode.visible.size, `${sizeBytes} bytes are more than '${this.path}' has`)
    await this.#pool()
    this.#resize(sizeBytes)
  }

  async allocate(sizeBytes: number): Promise<void> {
    this.#checkWritable()
    const { inode, machine } = this.#file
    if (sizeBytes <= inode.visible.size) return
    await this.#pool()
    const growth = sizeBytes - inode.usedBytes
    if (growth > machine.freeBytes) throw diskError('ENOSPC', `no room to reserve ${sizeBytes} bytes for`, this.path)
    if (sizeBytes > inode.visible.size) inode.resize(sizeBytes)
    inode.reservedBytes = Math.max(inode.reservedBytes, sizeBytes)
  }

  makeReady(position: number, length: number): void {
    const { inode } = this.#file
    this.#checkWritable()
    assert(position >= 0 && position + length <= inode.visible.size, `${position}+${length} is outside of a file of ${inode.visible.size}`)
    const bytes = new Uint8Array(length)
    inode.visible.read(bytes, position)
    if (bytes.some((byte) => byte !== 0)) inode.write(bytes.fill(0), position)
  }

  sizeBytes(): number {
    this.#checkOpen()
    return this.#file.inode.visible.size
  }

  close(): void {
    this.#closed = true
  }

  #resize(sizeBytes: number): void {
    const { inode, nowMs } = this.#file
    inode.resize(sizeBytes)
    inode.modifiedMs = nowMs()
  }

  #settle(mark: number): void {
    const { inode, machine } = this.#file
    machine.syncs++
    try {
      machine.failIfOrdered('sync', this.path)
    } catch (error) {
      inode.lose(mark, machine.random)
      throw error
    }
    inode.settle(mark)
    machine.names.syncCreation(inode)
  }

  #pool(): Promise<void> {
    return this.#file.machine.pool(this.#file.life)
  }

  #checkWritable(): void {
    this.#checkOpen()
    if (this.#file.readOnly) throw diskError('EBADF', 'opened for reading only:', this.path)
  }

  #checkOpen(): void {
    if (this.#file.life.over) throw diskError('EIO', 'the node that opened this file has crashed:', this.path)
    if (this.#closed) throw diskError('EBADF', 'has been closed:', this.path)
  }
}
