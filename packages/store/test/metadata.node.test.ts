import { copyFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { afterAll, describe, expect, test, vi } from 'vitest'
import type { MetadataStore } from '../src/index.ts'
import { memoryMetadata, openMessageStore, openSqliteMetadata } from '../src/index.ts'
import { OPTIONS } from './support/fixture.ts'

const folder = mkdtempSync(join(tmpdir(), 'skylark-metadata-'))
afterAll(() => rmSync(folder, { recursive: true }))

const implementations: readonly (readonly [string, () => MetadataStore | Promise<MetadataStore>])[] = [
  ['memory', () => memoryMetadata()],
  ['SQLite', () => openSqliteMetadata(nodeRuntime(), join(folder, `${Math.floor(performance.now() * 1000)}`, 'metadata.db'))],
]

describe.each(implementations)('metadata in %s', (_name, open) => {
  test('gives back what was set, per table, the last value of a key', async () => {
    const store = await open()
    store.set('topics', 'orders', '1')
    store.set('groups', 'orders', 'a group of the same name')
    store.set('topics', 'orders', '2')
    expect(store.get('topics', 'orders')).toBe('2')
    expect(store.get('groups', 'orders')).toBe('a group of the same name')
    expect(store.get('kv', 'orders')).toBeUndefined()
    expect([...store.entries('topics')]).toEqual([['orders', '2']])
    store.close()
  })

  test('forgets what was deleted, also before and after a flush', async () => {
    const store = await open()
    store.set('offsets', 'a', '1')
    store.delete('offsets', 'a')
    store.set('offsets', 'b', '2')
    store.flush()
    store.delete('offsets', 'b')
    store.delete('offsets', 'never there')
    store.flush()
    expect([...store.entries('offsets')]).toEqual([])
    store.close()
  })

  test('entries can be changed while they are walked', async () => {
    const store = await open()
    for (let i = 0; i < 5; i++) store.set('delay', `level ${i}`, '0')
    for (const [key] of store.entries('delay')) store.delete('delay', key)
    expect([...store.entries('delay')]).toEqual([])
    store.close()
  })
})

test('SQLite metadata is there after closing, and after the process vanished with a flush behind it', async () => {
  const path = join(folder, 'lasting', 'metadata.db')
  const first = await openSqliteMetadata(nodeRuntime(), path)
  first.set('topics', 'orders\u0000ü', '{"queues":4}')
  first.close()
  first.close()
  const second = await openSqliteMetadata(nodeRuntime(), path)
  expect(second.get('topics', 'orders\u0000ü')).toBe('{"queues":4}')
  second.set('topics', 'payments', '{}')
  second.delete('topics', 'orders\u0000ü')
  second.flush()
  const third = await openSqliteMetadata(nodeRuntime(), path)
  expect([...third.entries('topics')]).toEqual([['payments', '{}']])
  second.close()
  third.close()
})

test('a new metadata.db takes the place of what a crash left of an earlier try, and of a log whose file somebody moved away', async () => {
  const path = join(folder, 'again', 'metadata.db')
  const first = await openSqliteMetadata(nodeRuntime(), path)
  first.set('topics', 'orders', 'old')
  first.flush()
  // The process vanishes here; then the file is moved away without its -wal.
  copyFileSync(`${path}-wal`, join(folder, 'wal'))
  first.close()
  rmSync(path)
  copyFileSync(join(folder, 'wal'), `${path}-wal`)
  writeFileSync(`${path}.new`, 'half of a fi')
  const second = await openSqliteMetadata(nodeRuntime(), path)
  expect([...second.entries('topics')]).toEqual([])
  second.set('topics', 'orders', 'new')
  second.close()
  expect(readdirSync(dirname(path))).toEqual(['metadata.db'])
  const third = await openSqliteMetadata(nodeRuntime(), path)
  expect(third.get('topics', 'orders')).toBe('new')
  third.close()
})

test('a second opener of a store folder is told who holds it; after the first closes it may', async () => {
  const options = { ...OPTIONS, rootDirectory: join(folder, 'store') }
  const first = await openMessageStore(nodeRuntime(), options)
  await expect(openMessageStore(nodeRuntime(), options)).rejects.toThrow(`in use by process ${process.pid}`)
  await first.close()
  const again = await openMessageStore(nodeRuntime(), options)
  expect(again.recovery.cleanStop).toBe(true)
  await again.close()
})

test('without a working better-sqlite3 the error says what it is for and how to mend it', async () => {
  vi.doMock('better-sqlite3', () => {
    throw new Error('Module did not self-register')
  })
  vi.resetModules()
  const { openSqliteMetadata: openBroken } = await import('../src/index.ts')
  await expect(openBroken(nodeRuntime(), join(folder, 'broken.db'))).rejects.toThrow(
    /better-sqlite3 could not be loaded.*npm rebuild better-sqlite3/,
  )
  vi.doUnmock('better-sqlite3')
})

test('what an operator was told is done is on the disk, and what is set soon is: SQLite’s log of commits is synced', async () => {
  const path = join(folder, 'synced', 'metadata.db')
  const runtime = nodeRuntime()
  let syncs = 0
  let isStalled = false
  const disk: typeof runtime.disk = {
    ...runtime.disk,
    open(name, options) {
      const file = runtime.disk.open(name, options)
      const { sync } = file
      if (name === `${path}-wal`) file.sync = () => (syncs++, isStalled ? Promise.reject(new Error('the disk is gone')) : sync.call(file))
      return file
    },
  }
  let tick = (): void => {}
  const clock = { ...runtime.clock, every: (_ms: number, run: () => void) => ((tick = run), { cancel() {} }) }
  const store = await openSqliteMetadata({ ...runtime, disk, clock } as typeof runtime, path)
  await store.sync()
  tick()
  expect(syncs, 'nothing was set').toBe(0)
  store.set('topics', 'orders', '{}')
  await store.sync()
  await store.sync()
  expect(syncs).toBe(1)
  store.set('offsets', 'g@orders@0', '7')
  tick()
  expect(syncs).toBe(2)
  store.set('offsets', 'g@orders@0', '8')
  store.flush()
  expect(syncs).toBe(3)
  isStalled = true
  store.set('topics', 'payments', '{}')
  await expect(store.sync()).rejects.toThrow('the disk is gone')
  isStalled = false
  await store.sync()
  expect(syncs, 'what could not be synced is tried again').toBe(5)
  store.close()
})
