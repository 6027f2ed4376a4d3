import { PICK } from '@skylarkmq/remoting/protocol'
import type { Kernel } from '@skylarkmq/remoting/protocol'
import { CHUNK_BYTES, CHUNK_ENTRIES } from '../consume-queue/chunk-file.ts'
import { LIMITS } from '../limits.ts'

/** Room for all bodies that are kept. */
const BODIES_BYTES: number = LIMITS.lentBodies.reduce((sum, { bytes, keep }) => sum + bytes * keep, 0)

const BLOCKS_BYTES: number = LIMITS.coldBlockBytes * LIMITS.coldBlocks

/** For records of one answer that lie in two blocks. */
export const JOINED_BYTES: number = 64 * 1024

/** What reads take of the kernel's memory: only as much of it is ever touched as was needed at one time. */
export const READ_BYTES: number = BODIES_BYTES + BLOCKS_BYTES + CHUNK_BYTES + CHUNK_ENTRIES * PICK.bytesEach + JOINED_BYTES

export const bodiesIn = (kernel: Kernel): Buffer => kernel.read.subarray(0, BODIES_BYTES)

export const coldBlocksIn = (kernel: Kernel): Buffer => kernel.read.subarray(BODIES_BYTES, BODIES_BYTES + BLOCKS_BYTES)

/** Entries of a chunk, behind them what was picked of them, and then records that were joined. */
export const picksIn = (kernel: Kernel): Buffer => kernel.read.subarray(BODIES_BYTES + BLOCKS_BYTES)
