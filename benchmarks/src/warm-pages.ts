/**
 * Memory for the logs of a measured turn. A virtual machine may give free memory back to its host; a page taken anew then costs ten
 * times what a warm one does (`benchmarks/cold-pages.ts` shows it), and whoever writes more pays more for the machine. So a file is
 * written beforehand and cut short bit by bit while the turn lasts: what the log takes has just been freed.
 */
import { mkdtemp, open, rm } from 'node:fs/promises'
import { freemem, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** The quiet before a turn, when the file has been written. */
const QUIET_MS = 1000
const STEP_MS = 25
/** A load's process starts, connects and warms up before its seconds count. */
const AROUND_SECONDS = 2.5
/** Some of what is freed is taken by others. */
const MORE = 1.25
/** Of a record and what leads to it: its fields, its properties, its entry in the consume queue. */
const RECORD_OVERHEAD_BYTES = 250
const CHUNK = Buffer.alloc(1 << 20, 1)

/** What a turn writes a second, by what an earlier one of the same load did. */
export interface Writes {
  readonly perSecond: number
  readonly bodyBytes: number
}

/** Runs `turn`, which lasts so many seconds. Never holds more than half of the memory that is free. */
export async function withWarmPages<T>({ perSecond, bodyBytes }: Writes, seconds: number, turn: () => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'skylark-warm-'))
  const file = await open(join(folder, 'pages'), 'w')
  try {
    const lastsMs = (seconds + AROUND_SECONDS) * 1000
    const bytes = Math.min((perSecond * (bodyBytes + RECORD_OVERHEAD_BYTES) * lastsMs * MORE) / 1000, freemem() / 2)
    for (let at = 0; at < bytes; at += CHUNK.length) await file.write(CHUNK, 0, CHUNK.length, at)
    await sleep(QUIET_MS)
    const began = performance.now()
    const cutting = setInterval(() => {
      const left = 1 - (performance.now() - began) / lastsMs
      file.truncate(Math.max(0, Math.floor(bytes * left))).catch(() => {})
    }, STEP_MS)
    return await turn().finally(() => clearInterval(cutting))
  } finally {
    await file.close()
    await rm(folder, { recursive: true })
  }
}
