import { simRuntime } from '@skylarkmq/runtime/sim'
import { describe, expect, test } from 'vitest'
import { RecordJournal } from '../src/commit-log/record-journal.ts'
import type { DispatchRecord } from '../src/dispatch/dispatch-target.ts'
import { Bench, message, ROOT } from './support/fixture.ts'

const LOG = `${ROOT}/commitlog/00000000000000000000`
const JOURNAL = `${ROOT}/skylark/journal/00000000000000000000`
const COUNT = 40

describe('power takes entries in the middle of the journal, and not those behind them', () => {
  test.each([1, 2, 3, 4])('damage that comes later is noticed all the same, seed %i', async (seed) => {
    const bench = new Bench(seed, { flush: 'sync' })
    await bench.open()
    const offsets: number[] = []
    for (let n = 0; n < COUNT; n++) {
      const [result] = await bench.append(message({ text: `text ${n}`, tags: 'blue' }))
      offsets.push(result?.physicalOffset ?? -1)
      if (n === 0) syncJournal(bench)
    }
    bench.crash()
    expect(lostEntries(bench)).toBeGreaterThan(0)
    await bench.open()
    expect(await bench.readAll()).toHaveLength(COUNT)
    // And again, at once: what recovery has found out stays found out.
    bench.crash()
    bench.node.disk.remove(`${ROOT}/skylark/views`)
    const log = bench.node.disk.open(LOG)
    const bytes = Buffer.alloc(log.sizeBytes())
    log.readNow(bytes, 0, bytes.length, 0)
    // No checksum of the layout covers a tag. Each third message stays as it was.
    for (const [n, offset] of offsets.entries()) {
      if (n % 3 !== 0) log.write(Buffer.from('glue'), 0, 4, bytes.indexOf('blue', offset))
    }
    log.close()
    await bench.open()
    const sound = offsets.map((_, n) => n).filter((n) => n % 3 === 0)
    expect([...(await bench.readPlaces())]).toEqual(sound.map((n) => [n, `text ${n}`]))
    await bench.close()
  })
})

/** The platform has written it by itself; so there is a file after the crash. */
function syncJournal(bench: Bench): void {
  const file = bench.node.disk.open(JOURNAL)
  file.syncNow()
  file.close()
}

/** Places of the journal without an entry, before its last one. */
function lostEntries(bench: Bench): number {
  const file = bench.node.disk.open(JOURNAL, { readOnly: true })
  const bytes = Buffer.alloc(file.sizeBytes())
  file.readNow(bytes, 0, bytes.length, 0)
  file.close()
  let lost = 0
  for (let at = 0; at < bytes.length; at += 20) if (bytes.subarray(at, at + 20).every((byte) => byte === 0)) lost++
  return lost
}

describe('a journal of thousands of entries that has lost many', () => {
  const ENTRIES = 14_000
  const PATH = '/journal/00000000000000000000'
  const record = (n: number) => ({ physicalOffset: n * 100, sizeBytes: 100, digest: n * 7 }) as DispatchRecord
  const known = (n: number) => ({ sizeBytes: 100, digest: n * 7 })

  /** Without the entries `[from, to)`. */
  function withHole(from: number, to: number) {
    const { world } = simRuntime(1)
    const { disk } = world.node('broker')
    const again = () => new RecordJournal(disk, '/journal', 2 ** 30)
    const journal = again()
    for (let n = 0; n < ENTRIES; n++) journal.dispatch(record(n))
    journal.flush()
    journal.close()
    const file = disk.open(PATH)
    file.write(Buffer.alloc((to - from) * 20), 0, (to - from) * 20, from * 20)
    file.close()
    return { world, journal: again(), again }
  }

  const HOLES: readonly (readonly [what: string, from: number, to: number])[] = [
    ['the first', 0, 5_000],
    ['some in the middle', 6_000, 6_010],
    ['more than are looked at at once', 4_000, 13_000],
    ['all but the last', 0, ENTRIES - 1],
  ]

  test.each(HOLES)('%s: knows all others', (_what, from, to) => {
    const { journal } = withHole(from, to)
    for (const n of [0, from - 1, from, to - 1, to, to + 1, 8_000, 13_500, ENTRIES - 1]) {
      if (n < 0 || n >= ENTRIES) continue
      journal.stopReading()
      expect(journal.find(n * 100)).toEqual(n >= from && n < to ? undefined : known(n))
    }
  })

  test.each(HOLES)('%s: gets those back that are met in the log, each at its place', async (_what, from, to) => {
    const { world, journal, again } = withHole(from, to)
    const first = from + Math.floor((to - from) / 3)
    for (let n = first; n < ENTRIES; n++) if (n % 1000 !== 7) journal.mend(record(n))
    await world.until(journal.endRecovery())
    const mended = again()
    const wrong: number[] = []
    for (let n = 0; n < ENTRIES; n++) {
      const isLost = n >= from && n < to && (n < first || n % 1000 === 7)
      if (mended.find(n * 100)?.digest !== (isLost ? undefined : n * 7)) wrong.push(n)
    }
    expect(wrong).toEqual([])
    expect(mended.knownEnd()).toBe(ENTRIES * 100)
  })

  test.each(HOLES)('%s: forgets what lies behind the end of a log that was cut there', async (_what, from, to) => {
    const { world, journal, again } = withHole(from, to)
    await world.until(journal.cutTo(from * 100 + 100))
    const cut = again()
    expect(cut.knownEnd()).toBe(from * 100)
    for (const n of [from, to - 1, to, ENTRIES - 1]) expect(cut.find(n * 100)).toBeUndefined()
  })
})
