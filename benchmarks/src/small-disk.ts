/** A file system of its own in memory, small enough to be filled. Mounting takes root. */
import { execFileSync } from 'node:child_process'
import { rmSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { scratch } from '../../interop/src/toolchains.ts'

export interface SmallDisk {
  readonly path: string
  /** Takes all room but so much. */
  fill(leaveBytes: number): void
  /** After it nothing may be open there. */
  remove(): void
}

export function mountSmallDisk(mebibytes: number): SmallDisk | { readonly missing: string } {
  const path = scratch('small-disk')
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', path], { stdio: 'pipe' })
  } catch (error) {
    rmSync(path, { recursive: true })
    return { missing: `no small disk can be mounted: ${String((error as { stderr?: Buffer }).stderr ?? error).trim()}` }
  }
  return {
    path,
    fill: (leaveBytes) => {
      const { bavail, bsize } = statfsSync(path)
      execFileSync('fallocate', ['-l', String(bavail * bsize - leaveBytes), join(path, 'ballast')], { stdio: 'pipe' })
    },
    remove: () => {
      execFileSync('umount', [path], { stdio: 'pipe' })
      rmSync(path, { recursive: true })
    },
  }
}
