import { NameSpace } from './name-space.ts'
import type { SeededRandom } from './random.ts'
import type { Scheduler } from './scheduler.ts'

const UNLIMITED_BYTES = 2 ** 40

export const diskError = (code: string, sentence: string, path: string): Error =>
  Object.assign(new Error(`${code}: ${sentence} '${path}'`), { code, path })

/** What a node's disk is made of; survives crashes of the node. */
export class DiskMachine {
  readonly names = new NameSpace()
  readonly scheduler: Scheduler
  readonly random: SeededRandom
  capacityBytes = UNLIMITED_BYTES
  /** Of what goes through the pool: reads, syncs, reservations, removals. */
  latencyMs: { readonly min: number; readonly max: number } = { min: 0.05, max: 1 }
  /** How many of the next calls fail, and with what. */
  failures: {
    readonly call: 'write' | 'sync' | 'read'
    readonly code: string
    readonly matches: (path: string) => boolean
    left: number
  }[] = []
  syncs = 0
  writes = 0

  constructor(scheduler: Scheduler, random: SeededRandom) {
    this.scheduler = scheduler
    this.random = random
  }

  get freeBytes(): number {
    // Spares the sum over all files as long as nobody has asked for a small disk.
    return this.capacityBytes === UNLIMITED_BYTES ? UNLIMITED_BYTES : this.capacityBytes - this.usedBytes
  }

  get usedBytes(): number {
    let used = 0
    for (const inode of this.names.files.values()) used += inode.usedBytes
    return used
  }

  /** Throws when a fault was ordered for this call. */
  failIfOrdered(call: 'write' | 'sync' | 'read', path: string): void {
    const failure = this.failures.find((each) => each.call === call && each.left > 0 && each.matches(path))
    if (!failure) return
    failure.left--
    throw diskError(failure.code, `simulated fault of ${call}`, path)
  }

  /** The time that the pool takes. Of a dead node it never comes back. */
  pool(life: { readonly over: boolean }): Promise<void> {
    return new Promise((resolve) => {
      this.scheduler.schedule(this.random.between(this.latencyMs.min, this.latencyMs.max), 'work', () => {
        if (!life.over) resolve()
      })
    })
  }

  crash(): void {
    this.names.crash(this.random)
    for (const inode of new Set(this.names.files.values())) inode.crash(this.random)
  }
}
