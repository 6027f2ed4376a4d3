import type { Clock } from './clock.ts'
import type { Disk } from './disk.ts'
import type { Log } from './log.ts'
import type { Network } from './network.ts'
import type { Random } from './random.ts'

/** The outside world, handed to every part from the first line. `nodeRuntime()` in executables, `simRuntime(seed)` in tests. */
export interface Runtime {
  readonly clock: Clock
  readonly disk: Disk
  readonly network: Network
  readonly random: Random
  readonly log: Log
}
