/** Whatever has happened to a store, its next start says so in one sentence that a person can read; and says nothing of what has not. */
import { describe, expect, test } from 'vitest'
import { Bench, message, OPTIONS, properties, ROOT } from './support/fixture.ts'
import { restored, snapshot, write } from './support/snapshot.ts'

const SMALL = { ...OPTIONS, segmentBytes: 4096, memoryBytes: 0 }
const LOG = `${ROOT}/commitlog/00000000000000000000`
const VIEWS = `${ROOT}/skylark/views`
const keyed = (n: number) => message({ text: `text ${n}`, properties: properties({ KEYS: `k${n}` }) })

/** Five messages, then the process ends. Gives their positions, and the end of the log. */
async function fiveMessages(end: 'closed' | 'killed'): Promise<{ bench: Bench; at: number[] }> {
  const bench = new Bench(1, SMALL)
  await bench.open()
  const results = await bench.append(...[0, 1, 2, 3, 4].map(keyed))
  const at = [...results.map((result) => result.physicalOffset), bench.store.maxPhysicalOffset]
  if (end === 'closed') await bench.close()
  else bench.kill()
  return { bench, at }
}

function flip(bench: Bench, path: string, position: number): void {
  const byte = snapshot(bench.node.disk).get(path)?.[position] ?? 0
  write(bench.node.disk, path, Uint8Array.of(byte ^ 2), position)
}

/** The report of a start, and that the file has it. */
async function reportOf(bench: Bench): Promise<string> {
  await bench.open()
  const { recovery } = bench.store
  expect(JSON.parse(bench.node.disk.readText(`${ROOT}/skylark/recovery-report.json`) ?? '')).toEqual(recovery)
  return recovery.text
}

const QUIET =
  /^The last stop was (not )?clean\. (The log ends at \d+, where the last checkpoint was; nothing behind it had to be checked|From log position \d+ to \d+ \d+ whole records were found)\. That took \d+ ms\.$/

describe('nothing is said to be cut or damaged', () => {
  test('after a clean stop, and after a kill', async () => {
    for (const end of ['closed', 'killed'] as const) {
      const { bench } = await fiveMessages(end)
      if (end === 'killed') {
        // Within its first second a store has no checkpoint.
        expect(await reportOf(bench)).toContain('were derived anew from the log: there was no checkpoint yet.')
        await bench.sim.world.run(1_500)
        await bench.append(message())
        bench.kill()
      }
      const text = await reportOf(bench)
      expect(text).toMatch(QUIET)
      expect(text).toContain(end === 'closed' ? 'was clean' : 'was not clean')
      expect(bench.store.recovery).toMatchObject({ cutAt: undefined, cutBytes: 0, damaged: [], notes: [] })
      await bench.close()
    }
  })

  test('after kills anywhere in a segment, also when the next one is already reserved', async () => {
    const bench = new Bench(1, SMALL)
    await bench.open()
    await bench.sim.world.run(1_500)
    for (let n = 0; n < 60; n++) {
      await bench.append(keyed(n))
      await bench.sim.world.run(n % 3 === 0 ? 1_100 : 50)
      bench.kill()
      expect(await reportOf(bench), `after message ${n}`).toMatch(QUIET)
    }
    await bench.close()
  })

  test('when the log ends exactly where a segment does, and only the reserved room of the next is there', async () => {
    const bench = new Bench(1, SMALL)
    await bench.open()
    for (let n = 0; n < 40; n++) await bench.append(keyed(n))
    const end = bench.store.maxPhysicalOffset
    const last = end - (end % 4096)
    bench.kill()
    write(bench.node.disk, `${ROOT}/commitlog/${String(last).padStart(20, '0')}`, new Uint8Array(4096))
    bench.node.disk.remove(`${ROOT}/skylark`)
    expect(await reportOf(bench)).not.toContain('cut')
    expect(bench.store.maxPhysicalOffset).toBe(last)
    await bench.close()
  })
})

describe('a sentence says', () => {
  test('where a torn end was cut, how much, and why', async () => {
    const { bench, at } = await fiveMessages('killed')
    write(bench.node.disk, LOG, new Uint8Array(200).fill(0x55), at[5])
    expect(await reportOf(bench)).toContain(`At ${at[5]} the log was cut: 200 bytes behind it were no whole record (magic code 55555555).`)
    await bench.close()
  })

  test('that records are gone which had been written', async () => {
    const { bench, at } = await fiveMessages('killed')
    write(bench.node.disk, LOG, new Uint8Array(4096 - (at[4] ?? 0)), at[4])
    const text = await reportOf(bench)
    expect(text).toContain(
      `At ${at[4]} the log was cut: 0 bytes behind it were no whole record (records up to ${at[5]} had been written, and are not there).`,
    )
    await bench.close()
  })

  test.each([
    ['its body', 90, 'CRC of the body does not match'],
    ['its length', 2, 'record size \\d+ where \\d+ bytes (were written|are left)'],
    ['its magic code', 5, 'magic code [0-9a-f]+'],
    ['its queue', 15, 'fields outside the body differ from what was written'],
    ['its properties', 108, 'fields outside the body differ from what was written'],
  ])('which message is damaged in %s, and where its bytes are kept', async (_where, byte, why) => {
    const { bench, at } = await fiveMessages('killed')
    flip(bench, LOG, (at[2] ?? 0) + byte)
    const size = (at[3] ?? 0) - (at[2] ?? 0)
    const kept = `${ROOT}/skylark/damaged/${String(at[2]).padStart(20, '0')}\\.bytes`
    expect(await reportOf(bench)).toMatch(
      new RegExp(`At ${at[2]} ${size} bytes are damaged \\(${why}\\): they are kept in ${kept}, and the log goes on behind them\\.`),
    )
    await bench.close()
  })

  test.each([
    ['missing', 'checkpoint', 'checkpoint is missing'],
    ['missing', 'chunks.data', 'chunks.data is missing'],
    ['missing', 'index', 'a file of the key index is missing or short'],
    ['wrong', 'checkpoint', 'the checkpoint is damaged, or of another version'],
    ['wrong', 'chunks.headers', 'header 0 in chunks.headers is damaged'],
    ['wrong', 'topics', 'the entry at 0 in topics is damaged'],
  ])('that views are derived anew, and why: %s %s', async (how, name, why) => {
    const { bench } = await fiveMessages('closed')
    if (how === 'missing') bench.node.disk.remove(`${VIEWS}/${name}`)
    else if (name === 'checkpoint') for (const slot of [0, 512]) flip(bench, `${VIEWS}/${name}`, slot + 20)
    else flip(bench, `${VIEWS}/${name}`, 5)
    expect(await reportOf(bench)).toContain(`1 consume queues and the key index were derived anew from the log: ${why}.`)
    expect(bench.store.recovery.damaged).toEqual([])
    expect(await bench.readAll()).toHaveLength(5)
    await bench.close()
  })

  test('that the log is another than the views know', async () => {
    const { bench, at } = await fiveMessages('closed')
    const other = new Bench(1, SMALL)
    await other.open()
    await other.append(...Array.from({ length: 9 }, (_, n) => message({ text: `other ${n}` })))
    await other.close()
    write(bench.node.disk, LOG, snapshot(other.node.disk).get(LOG) as Uint8Array)
    bench.node.disk.remove(`${ROOT}/skylark/journal`)
    expect(await reportOf(bench)).toContain(`the log has other records before position ${at[5]} than the checkpoint says.`)
    expect(await bench.readAll()).toHaveLength(9)
    await bench.close()
  })

  test('that the disk was full at the start, and with what', async () => {
    const { bench } = await fiveMessages('killed')
    bench.node.disk.setCapacity(1)
    await bench.open()
    expect(bench.store.recovery.text).toMatch(
      /The disk is full: ENOSPC.*abort.*\. What is there is served; writes are accepted when there is room\./,
    )
    expect(await bench.readAll()).toHaveLength(5)
    bench.kill()
  })

  test('why the last process had stopped acknowledging; once', async () => {
    const bench = new Bench(1, { ...SMALL, flush: 'sync' })
    await bench.open()
    bench.node.disk.failSyncs(1, (path) => path.includes('commitlog'))
    expect((await bench.append(message()))[0]?.status).toBe('not-available')
    await bench.close()
    expect(await reportOf(bench)).toMatch(
      /The last process had stopped acknowledging: fdatasync of the commit log failed: EIO.*What it left of the log was written again and synced\./,
    )
    await bench.close()
    expect(await reportOf(bench)).toMatch(QUIET)
    await bench.close()
  })

  test("that Apache's broker has used the folder", async () => {
    const { bench } = await fiveMessages('killed')
    const logOnly = new Map([...snapshot(bench.node.disk)].filter(([path]) => path.includes('/commitlog/')))
    const apache = restored(logOnly, SMALL)
    write(apache.node.disk, `${ROOT}/consumequeue/orders/0/00000000000000000000`, new Uint8Array(100))
    expect(await reportOf(apache)).toContain(
      "Apache RocketMQ's broker has used this folder: its queues and index are left alone, ours are derived from the log.",
    )
    expect(apache.store.recovery).toMatchObject({ cutAt: undefined, damaged: [], rebuiltBecause: 'checkpoint is missing' })
    expect(await apache.readAll()).toHaveLength(5)
    await apache.close()
    expect(await reportOf(apache)).toMatch(QUIET)
    await apache.close()
  })
})

describe('a start that is refused says', () => {
  test('that Apache RocketMQ runs on the folder, and as which process', async () => {
    const { bench } = await fiveMessages('closed')
    bench.node.disk.writeTextAtomically(`${ROOT}/abort`, '4242')
    bench.node.disk.writeTextAtomically('/proc/4242/cmdline', 'java\0org.apache.rocketmq.broker.BrokerStartup')
    await expect(bench.open()).rejects.toThrow(`The store ${ROOT} is in use by Apache RocketMQ, process 4242. Stop that broker first`)
  })

  test('which segment is missing in the middle, and what to do', async () => {
    const bench = new Bench(1, SMALL)
    await bench.open()
    for (let n = 0; n < 8; n++) await bench.append(message({ body: Buffer.alloc(2000) }))
    await bench.close()
    bench.node.disk.remove(`${ROOT}/commitlog/00000000000000004096`)
    await expect(bench.open()).rejects.toThrow(
      /commitlog\/00000000000000004096 is missing between .* Put it back, or move the segments before the gap/,
    )
  })
})
