import type { Runtime } from '@skylarkmq/runtime'
import { describeError } from './describe-error.ts'
import { LIMITS } from './limits.ts'

/**
 * Files that nobody needs any more, and that the next start tells from those that count. Freeing a gigabyte at once stalls every writer of
 * the file system, and 16 MiB hold up the thread that frees them for 7 ms: a file is shrunk step by step, off the main thread, and then
 * unlinked.
 */
export class ExpiredFiles {
  private readonly runtime: Pick<Runtime, 'disk' | 'clock' | 'log'>
  private readonly paths: string[] = []
  private isAtWork = false
  private isStopping = false

  constructor(runtime: Pick<Runtime, 'disk' | 'clock' | 'log'>) {
    this.runtime = runtime
  }

  add(path: string): void {
    this.paths.push(path)
    if (!this.isAtWork) void this.work()
  }

  /** What is not removed yet is left to the next start. */
  stop(): void {
    this.isStopping = true
  }

  private async work(): Promise<void> {
    this.isAtWork = true
    for (let path = this.paths[0]; path !== undefined && !this.isStopping; path = this.paths[0]) {
      try {
        await this.free(path)
      } catch (error) {
        const fields = { path, error: describeError(error) }
        this.runtime.log.warn('a file that is no longer needed could not be removed; the next start tries again', fields)
      }
      this.paths.shift()
    }
    this.isAtWork = false
  }

  private async free(path: string): Promise<void> {
    const { disk, clock } = this.runtime
    const { shrinkStepBytes, shrinkIntervalMs } = LIMITS
    const sizeBytes = disk.stat(path)?.sizeBytes ?? 0
    if (sizeBytes > shrinkStepBytes) {
      const file = disk.open(path)
      try {
        for (let left = sizeBytes - shrinkStepBytes; left > shrinkStepBytes && !this.isStopping; left -= shrinkStepBytes) {
          await file.shrink(left)
          // The more files wait, the faster: what is written must not outrun what is freed.
          await clock.sleep(shrinkIntervalMs / this.paths.length)
        }
      } finally {
        file.close()
      }
    }
    if (!this.isStopping) await disk.discard(path)
  }
}
