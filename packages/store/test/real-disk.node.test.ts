/** What a simulated disk promises, once more on the platform's: a full file system, and a sync that fails. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeRecords } from '@skylarkmq/remoting/protocol'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { afterAll, expect, test } from 'vitest'
import { openMessageStore } from '../src/index.ts'
import type { AppendResult, MessageStore } from '../src/index.ts'
import { message, OPTIONS, textOf } from './support/fixture.ts'

const folder = mkdtempSync(join(tmpdir(), 'skylark-disk-'))
const small = join(folder, 'small')
const MEBI = 1024 * 1024

function mountSmall(): boolean {
  mkdirSync(small)
  return process.platform === 'linux' && spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', small]).status === 0
}

const isMounted = mountSmall()
const hasStrace = spawnSync('strace', ['-qq', '-o', '/dev/null', '-e', 'inject=fdatasync:error=EIO', 'true']).status === 0

afterAll(() => {
  if (isMounted) execFileSync('umount', ['-l', small])
  rmSync(folder, { recursive: true, force: true })
})

async function readAll(store: MessageStore): Promise<string[]> {
  const texts: string[] = []
  for (let offset = store.minOffset('orders', 0); offset < store.maxOffset('orders', 0); ) {
    const read = await store.read({ topic: 'orders', queueId: 0, offset, maxMessages: 200, maxBytes: 8e6 })
    for (const record of decodeRecords(Buffer.from(read.body))) texts.push(Buffer.from(record.body).toString())
    offset = read.nextOffset
  }
  return texts
}

test.skipIf(!isMounted)(
  'a full tmpfs: writes are refused with the reason, all that was acknowledged stays, and writing goes on by itself when there is room',
  async () => {
    const options = { ...OPTIONS, rootDirectory: join(small, 'store'), segmentBytes: 4 * MEBI }
    const ballast = join(small, 'ballast')
    writeFileSync(ballast, Buffer.alloc(8 * MEBI))
    let store = await openMessageStore(nodeRuntime(), options)
    const append = (n: number): Promise<AppendResult> =>
      new Promise((resolve) => {
        store.append(message({ text: textOf(n) }), false, resolve)
        store.commitTurn()
      })
    const acknowledged: string[] = []
    let refusal: AppendResult | undefined
    for (let n = 0; n < 40_000 && refusal === undefined; n++) {
      const result = await append(n)
      if (result.status === 'ok') acknowledged.push(textOf(n))
      else refusal = result
    }
    expect(refusal).toMatchObject({ status: 'not-available' })
    expect(refusal?.reason).toMatch(/disk is full.*(ENOSPC|MiB are free)/)
    expect(acknowledged.length).toBeGreaterThan(1_000)
    expect(await readAll(store)).toEqual(acknowledged)

    rmSync(ballast)
    await expect.poll(() => store.refusal, { timeout: 60_000, interval: 200 }).toBeUndefined()
    const after = await append(99_999)
    expect(after).toMatchObject({ status: 'ok', queueOffset: acknowledged.length })
    acknowledged.push(textOf(99_999))
    await store.close()
    store = await openMessageStore(nodeRuntime(), options)
    expect(await readAll(store)).toEqual(acknowledged)
    await store.close()
  },
  120_000,
)

test.skipIf(!hasStrace)(
  'an fdatasync that fails (strace injects EIO) ends acknowledgements for good, and the next start has all that was acknowledged',
  async () => {
    const rootDirectory = join(folder, 'eio')
    const script = join(import.meta.dirname, 'support/append-until-refused.ts')
    const inject = ['-f', '-qq', '-o', '/dev/null', '-e', 'trace=fdatasync', '-e', 'inject=fdatasync:error=EIO:when=30+']
    const node = [process.execPath, '--conditions=source', '--import', 'tsx', script, rootDirectory]
    const run = spawnSync('strace', [...inject, ...node], { encoding: 'utf8', timeout: 110_000, stdio: ['ignore', 'pipe', 'inherit'] })
    const answers = run.stdout
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as AppendResult & { n: number })
    const acknowledged = answers.filter((answer) => answer.status === 'ok')
    const refused = answers.slice(acknowledged.length)
    expect(acknowledged.length).toBeGreaterThan(0)
    expect(refused.length).toBe(5)
    // Nothing after the first refusal was acknowledged, though a second fdatasync might have said "fine".
    expect(refused.every((answer) => answer.status === 'not-available')).toBe(true)
    expect(refused[0]?.reason).toMatch(/fdatasync of the commit log failed: EIO.*Nothing is acknowledged until the broker is restarted/)

    const store = await openMessageStore(nodeRuntime(), { ...OPTIONS, rootDirectory, segmentBytes: 4 * MEBI, flush: 'sync' })
    const texts = await readAll(store)
    expect(texts.slice(0, acknowledged.length)).toEqual(acknowledged.map(({ n }) => textOf(n)))
    expect((await new Promise<AppendResult>((resolve) => store.append(message(), true, resolve))).status).toBe('ok')
    await store.close()
  },
  120_000,
)

test('consumers of eight queues that lie mixed in the log catch up on far more than memory holds: each gets its messages, in order', async () => {
  const options = { ...OPTIONS, rootDirectory: join(folder, 'backlog'), segmentBytes: 64 * MEBI, maxMessageBytes: MEBI }
  const store = await openMessageStore(nodeRuntime(), options)
  const [QUEUES, COUNT] = [8, 24_000]
  const bodyOf = (n: number) => Buffer.alloc(8_000, `message ${n}, `)
  for (let n = 0; n < COUNT; n++) {
    store.append(message({ queueId: n % QUEUES, body: bodyOf(n) }), false, () => undefined)
    if (n % 64 === 63) {
      store.commitTurn()
      await new Promise(setImmediate)
    }
  }
  await Promise.all(
    Array.from({ length: QUEUES }, async (_, queueId) => {
      for (let offset = 0; offset < COUNT / QUEUES; ) {
        const read = await store.read({ topic: 'orders', queueId, offset, maxMessages: 32, maxBytes: 262_144 })
        for (const record of decodeRecords(Buffer.from(read.body))) {
          expect(bodyOf(offset * QUEUES + queueId).equals(record.body), `queue ${queueId}, message ${offset}`).toBe(true)
          offset++
        }
        expect(offset).toBe(read.nextOffset)
      }
    }),
  )
  await store.close()
}, 120_000)
