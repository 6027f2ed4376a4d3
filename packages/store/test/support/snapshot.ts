import type { Disk } from '@skylarkmq/runtime'
import { Bench, ROOT } from './fixture.ts'

const BLOCK_BYTES = 4096

/** The bytes of all files of a store, by path. */
export type Snapshot = ReadonlyMap<string, Uint8Array>

export function snapshot(disk: Disk, folder = ROOT): Snapshot {
  const files = new Map<string, Uint8Array>()
  for (const name of disk.list(folder)) {
    const path = `${folder}/${name}`
    if (disk.stat(path)?.isDirectory) {
      for (const [inner, bytes] of snapshot(disk, path)) files.set(inner, bytes)
      continue
    }
    const file = disk.open(path, { readOnly: true })
    const bytes = new Uint8Array(file.sizeBytes())
    file.readNow(bytes, 0, bytes.length, 0)
    file.close()
    files.set(path, bytes)
  }
  return files
}

/** A computer of its own that finds these files. */
export function restored(files: Snapshot, options: Bench['options']): Bench {
  const bench = new Bench(1, options)
  for (const [path, bytes] of files) {
    const file = bench.node.disk.open(path, { create: true })
    // Long runs of zeros are holes.
    for (let at = 0; at < bytes.length; at += BLOCK_BYTES) {
      const block = bytes.subarray(at, at + BLOCK_BYTES)
      if (block.some((byte) => byte !== 0)) file.write(block, 0, block.length, at)
    }
    file.truncate(bytes.length)
    file.close()
  }
  return bench
}

export function write(disk: Disk, path: string, bytes: Uint8Array, position = 0): void {
  const file = disk.open(path, { create: true })
  file.write(bytes, 0, bytes.length, position)
  file.close()
}
