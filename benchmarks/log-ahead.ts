/**
 * What a page of the log costs to write, as it is and when the file was made ready before (`DiskFile.makeReady`): both in turns, for
 * writes of the sizes that turns bring.
 *
 *   node --conditions=source --import tsx benchmarks/log-ahead.ts --rounds 3
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { nodeRuntime } from '@skylarkmq/runtime/node'

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '3' } } })
const SEGMENT_BYTES = 192 * 1024 * 1024
const FLUSH_BYTES = 8 * 1024 * 1024
const PAGE_BYTES = 4096
const PIECE_BYTES = 128 * 1024
const WRITES = [1_252, 5_008, 12_520, 40_000, 80_128, 100_160, 150_240, 318_208]

const { disk } = nodeRuntime()
const folder = mkdtempSync(join(tmpdir(), 'skylark-log-ahead-'))
const source = new Uint8Array(Math.max(...WRITES)).fill(7)
try {
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const bytes of WRITES) {
      const plain = await nanosPerPage(bytes, false)
      const ready = await nanosPerPage(bytes, true)
      console.log(`writes of ${bytes} bytes: ${plain.toFixed(0)} ns of CPU a page, ${ready.toFixed(0)} when made ready`)
    }
  }
} finally {
  rmSync(folder, { recursive: true })
}

async function nanosPerPage(bytes: number, isReady: boolean): Promise<number> {
  warmPages()
  const path = join(folder, 'log')
  const file = disk.open(path, { create: true })
  await file.allocate(SEGMENT_BYTES)
  let end = 0
  let readyTo = 0
  let flushedTo = 0
  let flush = Promise.resolve()
  const before = process.cpuUsage()
  while (end + bytes <= SEGMENT_BYTES - 2 * PIECE_BYTES) {
    file.write(source, 0, bytes, end)
    end += bytes
    if (isReady && readyTo < end + PIECE_BYTES) {
      const from = Math.max(readyTo, Math.ceil(end / PIECE_BYTES) * PIECE_BYTES)
      file.makeReady(from, PIECE_BYTES)
      readyTo = from + PIECE_BYTES
    }
    if (end - flushedTo < FLUSH_BYTES) continue
    flushedTo = end
    await flush
    flush = file.sync()
  }
  const { user, system } = process.cpuUsage(before)
  await flush
  file.close()
  disk.remove(path)
  return ((user + system) * 1000) / (end / PAGE_BYTES)
}

/** Memory that was freed a moment ago: what a guest must ask its host for costs ten times as much, and would be all that is seen. */
function warmPages(): void {
  const path = join(folder, 'warm')
  const file = disk.open(path, { create: true })
  for (let at = 0; at < SEGMENT_BYTES; at += source.length) file.write(source, 0, source.length, at)
  file.close()
  disk.remove(path)
}
