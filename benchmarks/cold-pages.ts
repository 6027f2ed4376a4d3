/**
 * What a page of the page cache costs when it is taken from memory that this machine had given back to its host, and when such
 * memory was freed a moment ago (`src/warm-pages.ts`).
 *
 *   node --conditions=source --import tsx benchmarks/cold-pages.ts --gib 10
 *
 * Writes files of 1 GiB within 4 s each and keeps them, so that memory must be taken anew: every second one beside warm pages.
 * On a machine that keeps its memory all are alike.
 */
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { withWarmPages } from './src/warm-pages.ts'

const { values } = parseArgs({ options: { gib: { type: 'string', default: '10' } } })
const CHUNK = Buffer.alloc(1 << 16, 1)
const GIB = 1 << 30
const SECONDS = 4
const STEPS = 16
const PAGE_BYTES = 4096

const folder = await mkdtemp(join(tmpdir(), 'skylark-cold-pages-'))
try {
  for (let i = 0; i < Number(values.gib); i++) {
    const path = join(folder, `${i}`)
    const isWarm = i % 2 === 1
    const nanos = await (isWarm ? withWarmPages({ perSecond: 1, bodyBytes: GIB / SECONDS }, SECONDS, () => writeGib(path)) : writeGib(path))
    console.log(`GiB ${i}, ${isWarm ? 'beside warm pages' : 'memory as it is  '}: ${(nanos / (GIB / PAGE_BYTES)).toFixed(0)} ns a page`)
  }
} finally {
  await rm(folder, { recursive: true })
}

/** The nanoseconds in writing, without the pauses. */
async function writeGib(path: string): Promise<number> {
  const file = await open(path, 'w')
  let nanos = 0
  try {
    for (let step = 0; step < STEPS; step++) {
      await sleep((SECONDS * 1000) / STEPS)
      const began = performance.now()
      for (let at = 0; at < GIB / STEPS; at += CHUNK.length) await file.write(CHUNK)
      nanos += (performance.now() - began) * 1e6
    }
    return nanos
  } finally {
    await file.close()
  }
}
