import fs from 'node:fs'
import { dirname } from 'node:path'
import type { Disk, DiskFile } from '../disk.ts'
import { NodeDiskFile, withPath } from './disk-file.ts'

const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code

/** As `mkdir -p`. Node's own never returns where a folder can be seen and nothing be made in it, as in /proc. */
const makeFolder = (path: string): void => {
  try {
    fs.mkdirSync(path)
  } catch (error) {
    if (codeOf(error) === 'EEXIST' && fs.statSync(path).isDirectory()) return
    if (codeOf(error) !== 'ENOENT' || fs.existsSync(dirname(path))) throw error
    makeFolder(dirname(path))
    fs.mkdirSync(path)
  }
}

const open = (path: string, options: { readonly create?: boolean; readonly readOnly?: boolean } = {}): DiskFile => {
  const { O_RDONLY, O_RDWR, O_CREAT } = fs.constants
  const flags = options.readOnly ? O_RDONLY : O_RDWR | (options.create ? O_CREAT : 0)
  try {
    return new NodeDiskFile(path, fs.openSync(path, flags, 0o644))
  } catch (error) {
    if (!options.create || options.readOnly || codeOf(error) !== 'ENOENT') throw error
  }
  makeFolder(dirname(path))
  return new NodeDiskFile(path, fs.openSync(path, flags, 0o644))
}

const syncDirectory = (path: string): void => {
  // Windows has no handle on a folder to sync.
  if (process.platform === 'win32') return
  const fd = fs.openSync(path, 'r')
  try {
    fs.fsyncSync(fd)
  } catch (error) {
    throw withPath(error, path)
  } finally {
    fs.closeSync(fd)
  }
}

const settleDirectory = async (path: string): Promise<void> => {
  if (process.platform === 'win32') return
  const handle = await fs.promises.open(path, 'r')
  try {
    await handle.sync()
  } catch (error) {
    throw withPath(error, path)
  } finally {
    await handle.close()
  }
}

/** The file system's answer for the nearest folder that exists: a store asks before it has made its own. */
const space = (path: string): { totalBytes: number; freeBytes: number } => {
  for (let at = path; ; at = dirname(at)) {
    try {
      const found = fs.statfsSync(at)
      const { blocks, bfree, bavail, bsize } = found
      // What is kept back for root, or by a quota, is neither used nor ours: a share of use without it is the one that df tells.
      return { totalBytes: (blocks - bfree + bavail) * bsize, freeBytes: bavail * bsize }
    } catch (error) {
      if (codeOf(error) !== 'ENOENT' || dirname(at) === at) throw withPath(error, path)
    }
  }
}

const missingIs = <T>(missing: T, read: () => T): T => {
  try {
    return read()
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return missing
    throw error
  }
}

const writeTextAtomically = (path: string, text: string): void => {
  // A fixed name: what a crash leaves behind is overwritten by the next try.
  const temporary = `${path}.tmp`
  makeFolder(dirname(path))
  const fd = fs.openSync(temporary, 'w', 0o644)
  try {
    fs.writeFileSync(fd, text)
    fs.fsyncSync(fd)
  } catch (error) {
    throw withPath(error, path)
  } finally {
    fs.closeSync(fd)
  }
  fs.renameSync(temporary, path)
  syncDirectory(dirname(path))
}

/** The machine's files. */
export const nodeDisk = (): Disk => ({
  open,
  exists: (path) => fs.existsSync(path),
  list: (path) => missingIs<string[]>([], () => fs.readdirSync(path).sort()),
  makeDirectory: (path) => {
    makeFolder(path)
  },
  rename: (from, to) => fs.renameSync(from, to),
  remove: (path) => fs.rmSync(path, { recursive: true, force: true }),
  discard: (path) => fs.promises.rm(path, { recursive: true, force: true }),
  stat: (path) =>
    missingIs(undefined, () => {
      const found = fs.statSync(path)
      return { sizeBytes: found.size, modifiedMs: found.mtimeMs, isDirectory: found.isDirectory() }
    }),
  syncDirectory,
  settleDirectory,
  space,
  readText: (path) => missingIs<string | undefined>(undefined, () => fs.readFileSync(path, 'utf8')),
  writeTextAtomically,
})
