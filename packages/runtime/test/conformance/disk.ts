import type { Disk } from '@skylarkmq/runtime'
import { describe, expect, it } from 'vitest'
import type { Await } from './harness.ts'
import { errorOf } from './harness.ts'

const text = (value: string): Uint8Array => new TextEncoder().encode(value)

export interface DiskHarness {
  readonly disk: Disk
  /** An empty folder for this test. */
  readonly folder: string
  readonly wait: Await
}

const readAll = (disk: Disk, path: string): string => {
  const file = disk.open(path, { readOnly: true })
  const bytes = new Uint8Array(file.sizeBytes())
  file.readNow(bytes, 0, bytes.length, 0)
  file.close()
  return new TextDecoder().decode(bytes)
}

const fileConformance = (make: () => DiskHarness): void => {
  it('shows a write to every reader at once, through any handle', () => {
    const { disk, folder } = make()
    const writer = disk.open(`${folder}/log`, { create: true })
    const reader = disk.open(`${folder}/log`, { readOnly: true })
    writer.write(text('--hello--'), 2, 5, 0)
    const seen = new Uint8Array(5)
    expect(reader.readNow(seen, 0, 5, 0)).toBe(5)
    expect(new TextDecoder().decode(seen)).toBe('hello')
    writer.close()
    reader.close()
  })

  it('writes at any position, and reads the gap as zeros', () => {
    const { disk, folder } = make()
    const file = disk.open(`${folder}/gap`, { create: true })
    file.write(text('end'), 0, 3, 100_000)
    expect(file.sizeBytes()).toBe(100_003)
    const seen = new Uint8Array(8).fill(7)
    expect(file.readNow(seen, 1, 6, 99_997)).toBe(6)
    expect([...seen]).toEqual([7, 0, 0, 0, 101, 110, 100, 7])
    file.close()
  })

  it('reads fewer bytes only at the end of the file', async () => {
    const { disk, folder, wait } = make()
    const file = disk.open(`${folder}/short`, { create: true })
    file.write(text('12345'), 0, 5, 0)
    const seen = new Uint8Array(10)
    expect(file.readNow(seen, 0, 10, 3)).toBe(2)
    expect(file.readNow(seen, 0, 10, 5)).toBe(0)
    expect(file.readNow(seen, 0, 10, 500)).toBe(0)
    expect(await wait(file.read(seen, 0, 10, 1))).toBe(4)
    expect(new TextDecoder().decode(seen.subarray(0, 4))).toBe('2345')
    file.close()
  })

  it('makes a piece of a file ready for writing, and nothing else of it', () => {
    const { disk, folder } = make()
    const file = disk.open(`${folder}/ready`, { create: true })
    const old = new Uint8Array(400_000).fill(7)
    file.write(old, 0, old.length, 0)
    file.makeReady(1_000, 300_000)
    expect(file.sizeBytes()).toBe(old.length)
    file.write(text('new'), 0, 3, 1_000)
    const seen = new Uint8Array(old.length)
    file.readNow(seen, 0, seen.length, 0)
    expect(seen.subarray(0, 1_000)).toEqual(old.subarray(0, 1_000))
    expect(new TextDecoder().decode(seen.subarray(1_000, 1_003))).toBe('new')
    expect(seen.subarray(1_003, 301_000).every((byte) => byte === 0 || byte === 7)).toBe(true)
    expect(seen.subarray(301_000)).toEqual(old.subarray(301_000))
    file.close()
  })

  it('cuts a file and makes it longer with zeros', () => {
    const { disk, folder } = make()
    const file = disk.open(`${folder}/cut`, { create: true })
    file.write(text('abcdef'), 0, 6, 0)
    file.truncate(3)
    file.truncate(5)
    const seen = new Uint8Array(6)
    expect(file.readNow(seen, 0, 6, 0)).toBe(5)
    expect([...seen.subarray(0, 5)]).toEqual([97, 98, 99, 0, 0])
    file.close()
  })

  it('reserves room without touching what is written, and never makes a file shorter', async () => {
    const { disk, folder, wait } = make()
    const file = disk.open(`${folder}/segment`, { create: true })
    file.write(text('head'), 0, 4, 0)
    await wait(file.allocate(1_000_000))
    expect(file.sizeBytes()).toBe(1_000_000)
    await wait(file.allocate(10))
    expect(file.sizeBytes()).toBe(1_000_000)
    const seen = new Uint8Array(5)
    file.readNow(seen, 0, 5, 0)
    expect([...seen]).toEqual([104, 101, 97, 100, 0])
    file.close()
  })

  it('syncs, many at a time, and in between writes', async () => {
    const { disk, folder, wait } = make()
    const file = disk.open(`${folder}/sync`, { create: true })
    const syncs = Array.from({ length: 5 }, (_, index) => {
      file.write(text('x'), 0, 1, index)
      return file.sync()
    })
    file.syncNow()
    await wait(Promise.all(syncs))
    file.close()
    expect(readAll(disk, `${folder}/sync`)).toBe('xxxxx')
  })

  it('lets what is under way finish when the file is closed, and refuses what comes after', async () => {
    const { disk, folder, wait } = make()
    const file = disk.open(`${folder}/closing`, { create: true })
    file.write(text('last'), 0, 4, 0)
    const seen = new Uint8Array(4)
    const reading = file.read(seen, 0, 4, 0)
    const syncing = file.sync()
    file.close()
    file.close()
    expect(await wait(reading)).toBe(4)
    await wait(syncing)
    const error = await errorOf(() => file.write(text('x'), 0, 1, 0))
    expect(error.code).toBe('EBADF')
    expect(error.message).toContain(`${folder}/closing`)
    expect((await errorOf(() => file.sync())).code).toBe('EBADF')
  })

  it('refuses to write where it was opened for reading', async () => {
    const { disk, folder } = make()
    disk.open(`${folder}/fixed`, { create: true }).close()
    const file = disk.open(`${folder}/fixed`, { readOnly: true })
    const error = await errorOf(() => file.write(text('x'), 0, 1, 0))
    expect(error).toMatchObject({ code: 'EBADF', path: `${folder}/fixed` })
    file.close()
  })
}

const folderConformance = (make: () => DiskHarness): void => {
  it('makes missing folders with the file, and says which file is missing otherwise', async () => {
    const { disk, folder } = make()
    const error = await errorOf(() => disk.open(`${folder}/a/b/c`))
    expect(error).toMatchObject({ code: 'ENOENT', path: `${folder}/a/b/c` })
    disk.open(`${folder}/a/b/c`, { create: true }).close()
    expect(disk.exists(`${folder}/a/b/c`)).toBe(true)
    expect(disk.stat(`${folder}/a/b`)?.isDirectory).toBe(true)
    expect(disk.stat(`${folder}/a/b/c`)).toMatchObject({ isDirectory: false, sizeBytes: 0 })
    expect(disk.stat(`${folder}/none`)).toBeUndefined()
    expect(disk.exists(`${folder}/none`)).toBe(false)
  })

  it('opens an existing file as it is', () => {
    const { disk, folder } = make()
    disk.writeTextAtomically(`${folder}/kept`, 'kept')
    disk.open(`${folder}/kept`, { create: true }).close()
    expect(disk.readText(`${folder}/kept`)).toBe('kept')
  })

  it('lists names of a folder in order, not those of its folders, and nothing of a missing one', () => {
    const { disk, folder } = make()
    for (const name of ['00000002', '00000001', 'inner/deep']) disk.open(`${folder}/${name}`, { create: true }).close()
    expect(disk.list(folder)).toEqual(['00000001', '00000002', 'inner'])
    expect(disk.list(`${folder}/none`)).toEqual([])
  })

  it('renames over an existing file; an open handle goes with the file', () => {
    const { disk, folder } = make()
    disk.writeTextAtomically(`${folder}/new`, 'new')
    disk.writeTextAtomically(`${folder}/old`, 'old')
    const handle = disk.open(`${folder}/new`)
    disk.rename(`${folder}/new`, `${folder}/old`)
    disk.syncDirectory(folder)
    handle.write(text('NEW'), 0, 3, 0)
    handle.close()
    expect(disk.list(folder)).toEqual(['old'])
    expect(disk.readText(`${folder}/old`)).toBe('NEW')
  })

  it('makes names durable off the main thread; a missing folder is an error', async () => {
    const { disk, folder, wait } = make()
    disk.writeTextAtomically(`${folder}/file`, 'text')
    await wait(disk.settleDirectory(folder))
    await expect(wait(disk.settleDirectory(`${folder}/none`))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('renames a folder with all in it', () => {
    const { disk, folder } = make()
    disk.writeTextAtomically(`${folder}/from/a/file`, 'text')
    disk.rename(`${folder}/from`, `${folder}/to`)
    expect(disk.readText(`${folder}/to/a/file`)).toBe('text')
    expect(disk.exists(`${folder}/from`)).toBe(false)
  })

  it('removes files and whole folders; what is missing is fine', () => {
    const { disk, folder } = make()
    disk.writeTextAtomically(`${folder}/gone/a/file`, 'text')
    disk.writeTextAtomically(`${folder}/gone-not`, 'text')
    disk.remove(`${folder}/gone`)
    disk.remove(`${folder}/gone`)
    expect(disk.list(folder)).toEqual(['gone-not'])
  })

  it('removes off the main thread, too, and gives room back piece by piece', async () => {
    const { disk, folder, wait } = make()
    disk.writeTextAtomically(`${folder}/gone/a/file`, 'text')
    disk.writeTextAtomically(`${folder}/shrunk`, '0123456789')
    await wait(disk.discard(`${folder}/gone`))
    await wait(disk.discard(`${folder}/gone`))
    const file = disk.open(`${folder}/shrunk`)
    await wait(file.shrink(4))
    expect(file.sizeBytes()).toBe(4)
    file.close()
    expect(disk.list(folder)).toEqual(['shrunk'])
    expect(disk.readText(`${folder}/shrunk`)).toBe('0123')
  })

  it('replaces a text as a whole, leaving nothing else behind', () => {
    const { disk, folder } = make()
    disk.writeTextAtomically(`${folder}/sub/config.json`, 'a long first text')
    disk.writeTextAtomically(`${folder}/sub/config.json`, 'grüße')
    expect(disk.readText(`${folder}/sub/config.json`)).toBe('grüße')
    expect(disk.list(`${folder}/sub`)).toEqual(['config.json'])
    expect(disk.readText(`${folder}/sub/none`)).toBeUndefined()
  })

  it('says how much room there is, also for a folder that is not made yet', () => {
    const { disk, folder } = make()
    const { totalBytes, freeBytes } = disk.space(`${folder}/not/yet`)
    expect(freeBytes).toBeGreaterThan(0)
    expect(totalBytes).toBeGreaterThanOrEqual(freeBytes)
  })
}

export const diskConformance = (name: string, make: () => DiskHarness): void => {
  describe(`${name} disk`, () => {
    fileConformance(make)
    folderConformance(make)
  })
}
