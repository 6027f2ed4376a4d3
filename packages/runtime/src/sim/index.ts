import type { SimNode } from './world.ts'
import { World } from './world.ts'

export type { SimClock } from './clock.ts'
export type { SimDisk } from './disk.ts'
export { formatLine } from './log.ts'
export type { LogLine } from './log.ts'
export type { LinkOptions } from './pipe.ts'
export { seededRandom } from './random.ts'
export type { SeededRandom } from './random.ts'
export { World } from './world.ts'
export type { SimNode } from './world.ts'

/** A simulated outside world. It is itself the runtime of a first node, `local`; `world` has more nodes, time and faults. */
export interface SimRuntime extends SimNode {
  readonly world: World
}

export const simRuntime = (seed: number): SimRuntime => {
  const world = new World(seed)
  return { ...world.node('local'), world }
}
