import type { Kernel } from '@skylarkmq/remoting/protocol'
import { LIMITS } from '../limits.ts'

/** Room for all bodies that are kept. */
const BODIES_BYTES: number = LIMITS.lentBodies.reduce((sum, { bytes, keep }) => sum + bytes * keep, 0)

/** What reads take of the kernel's memory: only as much of it is ever touched as was needed at one time. */
export const READ_BYTES: number = BODIES_BYTES + LIMITS.coldBlockBytes * LIMITS.coldBlocks

export const bodiesIn = (kernel: Kernel): Buffer => kernel.read.subarray(0, BODIES_BYTES)

export const coldBlocksIn = (kernel: Kernel): Buffer => kernel.read.subarray(BODIES_BYTES)
