/** A store folder moves between Apache's broker and ours, in both directions; the log is the truth, each derives its own views from it. */
import { execFileSync } from 'node:child_process'
import { closeSync, cpSync, existsSync, mkdirSync, openSync, rmSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { decodeRecords } from '@skylarkmq/remoting/protocol'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { openMessageStore } from '@skylarkmq/store'
import type { AppendResult, MessageStore } from '@skylarkmq/store'
import { afterAll, describe, expect, test } from 'vitest'
import { JAVA_FLAGS, jars, scratch } from './src/toolchains.ts'

const SEGMENT = 65_536
const found = jars('5.5.0', 'servers')
const folder = scratch('store')
afterAll(() => rmSync(folder, { recursive: true }))

function apache(mode: 'write' | 'read', directory: string, ...rest: string[]): string[] {
  if ('missing' in found) throw new Error(found.missing)
  const source = join(import.meta.dirname, 'java/StoreProbe.java')
  const classes = join(import.meta.dirname, '.cache/classes-store')
  const compiled = join(classes, 'StoreProbe.class')
  if (!existsSync(compiled) || statSync(compiled).mtimeMs < statSync(source).mtimeMs) {
    mkdirSync(classes, { recursive: true })
    execFileSync('javac', ['-nowarn', '-cp', `${found.folder}/*`, '-d', classes, source], { stdio: 'pipe' })
  }
  const flags = [...JAVA_FLAGS, '-Xmx256m', '-XX:TieredStopAtLevel=1', `-Duser.home=${join(folder, 'home')}`]
  const args = [...flags, '-cp', `${classes}:${found.folder}/*`, 'StoreProbe', mode, directory, String(SEGMENT), ...rest]
  try {
    const out = execFileSync('java', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 180_000 })
    return out.split('\n').filter((line) => /^(orders|payments) /.test(line))
  } catch (error) {
    if (rest.includes('halt') && (error as { status?: number }).status === 9) return []
    throw error
  }
}

const open = (directory: string) =>
  openMessageStore(nodeRuntime(), {
    rootDirectory: directory,
    segmentBytes: SEGMENT,
    flush: 'async',
    maxMessageBytes: 16_384,
    delayLevelsMs: [1_000],
    fileReservedHours: 72,
    deleteWhenHours: [4],
  })

/** What our store serves, in the words of the Java probe. */
async function served(store: MessageStore): Promise<string[]> {
  const lines: string[] = []
  for (const topic of [...store.queues().keys()].sort()) {
    for (const queueId of store.queues().get(topic) ?? []) {
      for (let offset = store.minOffset(topic, queueId); offset < store.maxOffset(topic, queueId); ) {
        const read = await store.read({ topic, queueId, offset, maxMessages: 32, maxBytes: 262_144 })
        expect(read.status).toBe('found')
        for (const m of decodeRecords(Buffer.from(read.body))) {
          const { properties } = m
          lines.push(
            [m.topic, m.queueId, m.queueOffset, m.physicalOffset, properties.get('TAGS'), properties.get('KEYS'), Buffer.from(m.body)].join(
              ' ',
            ),
          )
        }
        offset = read.nextOffset
      }
    }
  }
  return lines
}

async function append(store: MessageStore, count: number, prefix: string): Promise<void> {
  const results: AppendResult[] = []
  const host = new Uint8Array([127, 0, 0, 1, 0, 0, 4, 210])
  for (let i = 0; i < count; i++) {
    const properties = Buffer.from(`TAGS\u0001tag${i % 4}\u0002KEYS\u0001${prefix}key${i}\u0002UNIQ_KEY\u0001${prefix}id${i}\u0002`)
    const [topic, body] = [i % 3 === 0 ? 'payments' : 'orders', Buffer.from(`${prefix}${i}`.repeat(1 + (i % 40)))]
    const common = {
      flag: 0,
      sysFlag: 0,
      bornTimestamp: Date.now(),
      bornHost: host,
      storeHost: host,
      reconsumeTimes: 0,
      preparedTransactionOffset: 0,
    }
    store.append({ ...common, topic, queueId: i % 2, body, properties }, false, (result) => results.push(result))
  }
  store.commitTurn()
  expect(results.every((result) => result.status === 'ok')).toBe(true)
}

describe.skipIf('missing' in found)('a folder of Apache RocketMQ 5.5', () => {
  test('opens here with every message, goes on here, opens there again with every message, and once more here', async () => {
    const directory = join(folder, 'moving')
    apache('write', directory, '300', 'a')
    const first = apache('read', directory)
    expect(first.length).toBe(300)

    let store = await open(directory)
    expect(await served(store)).toEqual(first)
    expect(store.queryByKey('orders', 'akey4', { max: 10, beginMs: 0, endMs: Date.now() }).length).toBe(1)
    await append(store, 250, 'b')
    const second = await served(store)
    expect(second.length).toBe(550)
    await store.close()

    expect(apache('read', directory)).toEqual(second)
    apache('write', directory, '200', 'c')
    const third = apache('read', directory)
    expect(third.length).toBe(750)

    store = await open(directory)
    expect(await served(store)).toEqual(third)
    expect(store.recovery.queuesRebuilt).toBe(0)
    await store.close()
  }, 300_000)

  test('opens here after its process was killed', async () => {
    const directory = join(folder, 'killed-there')
    apache('write', directory, '400', 'k', 'halt')
    const store = await open(directory)
    expect(store.recovery.cleanStop).toBe(false)
    expect((await served(store)).length).toBe(400)
    await store.close()
  }, 300_000)
})

describe.skipIf('missing' in found)('a folder of ours', () => {
  test('opens in Apache RocketMQ 5.5 after a clean stop, and as a kill leaves it', async () => {
    const directory = join(folder, 'ours')
    const killed = join(folder, 'ours-killed')
    const store = await open(directory)
    await append(store, 800, 'o')
    const all = await served(store)
    // A copy of the folder while the store runs is what a kill would leave.
    cpSync(directory, killed, { recursive: true })
    await store.close()
    expect(all.length).toBe(800)
    expect(apache('read', directory)).toEqual(all)
    expect(apache('read', killed)).toEqual(all)
  }, 300_000)

  test('in which a record was damaged: we go on behind it, and Apache RocketMQ 5.5 comes past the place', async () => {
    const running = join(folder, 'rotten-running')
    const directory = join(folder, 'rotten')
    let store = await open(running)
    await append(store, 300, 'd')
    const all = await served(store)
    cpSync(running, directory, { recursive: true })
    const victim = store.queryByKey('orders', 'dkey100', { max: 1, beginMs: 0, endMs: Date.now() })[0] as number
    await store.close()
    // After a kill, the length of a record in the middle is not what was written.
    const log = openSync(join(directory, 'commitlog', String(victim - (victim % SEGMENT)).padStart(20, '0')), 'r+')
    writeSync(log, Uint8Array.of(0x7f), 0, 1, victim % SEGMENT)
    closeSync(log)

    store = await open(directory)
    expect(store.recovery.damaged.map(({ offset }) => offset)).toEqual([victim])
    const rest = await served(store)
    expect(rest).toEqual(all.filter((line) => !line.includes(' dkey100 ')))
    await store.close()
    expect(apache('read', directory)).toEqual(rest)
  }, 300_000)
})
