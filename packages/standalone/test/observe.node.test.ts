/** What a monitor, an orchestrator and a page read of a server over HTTP. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startBroker } from '@skylarkmq/broker'
import type { Broker } from '@skylarkmq/broker'
import { createClient } from '@skylarkmq/client'
import { startNamesrv } from '@skylarkmq/namesrv'
import type { Namesrv } from '@skylarkmq/namesrv'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { runCli } from '@skylarkmq/tools'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Observer } from '../src/observe/observer.ts'
import { observation } from '../src/observe/start.ts'

const settings = {
  metricsExporterType: 'PROM',
  metricsPromExporterHost: '127.0.0.1',
  metricsPromExporterPort: 0,
  adminApi: 'CHANGE',
} as const
const world = observation(nodeRuntime(), settings)
let namesrv: Namesrv
let broker: Broker
let observer: Observer
let namesrvAddr: string

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'skylark-observe-'))
  const paths = { kvConfigPath: join(folder, 'kv.json'), configStorePath: join(folder, 'ns.properties') }
  namesrv = await startNamesrv(world.runtime, { listenPort: 0, bindAddress: '127.0.0.1', ...paths })
  namesrvAddr = `127.0.0.1:${namesrv.port}`
  broker = await startBroker(world.runtime, {
    brokerName: 'broker-a',
    bindAddress: '127.0.0.1',
    listenPort: 0,
    namesrvAddr,
    storePathRootDir: join(folder, 'store'),
    mappedFileSizeCommitLog: 1024 * 1024,
    flushDiskType: 'SYNC_FLUSH',
  })
  observer = (await world.start(
    { name: 'broker', figures: () => broker.figures(), unready: () => broker.unready() },
    namesrvAddr,
  )) as Observer
  const client = await createClient({ namesrvAddr, runtime: world.runtime })
  await client.admin().topics.update({ topic: 'Orders', queueNums: 2 })
  const producer = client.producer({ group: 'shop', timeoutMs: 60_000 })
  for (let i = 0; i < 20; i++) await producer.send({ topic: 'Orders', body: `order ${i}` })
  await client.close()
})
afterAll(async () => {
  await observer?.close()
  await broker?.close()
  await namesrv?.close()
})

const ask = (path: string, init: RequestInit = {}) => fetch(`http://127.0.0.1:${observer.port}${path}`, init)
const json = { headers: { 'content-type': 'application/json' } }

describe('metrics', () => {
  test('are Prometheus text: each name once with its type, then its values', async () => {
    const answer = await ask('/metrics')
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/)
    const lines = (await answer.text()).trimEnd().split('\n')
    const names = lines.flatMap((line) => /^# TYPE (\w+) (?:gauge|counter)$/.exec(line)?.[1] ?? [])
    expect(new Set(names).size).toBe(names.length)
    const label = '[a-zA-Z_]+="(?:[^"\\\\]|\\\\.)*"'
    const value = new RegExp(`^[a-zA-Z_:][\\w:]*(?:\\{${label}(?:,${label})*\\})? [-+.\\de]+$`)
    for (const line of lines) expect(line).toMatch(line.startsWith('#') ? /^# (HELP|TYPE) \w+ .+$/ : value)
  })

  test('tell what came in, what waits, and how the process feels', async () => {
    await runCli(['resetOffsetByTime', '-g', 'readers', '-t', 'Orders', '-s', '0', '-n', namesrvAddr], cli())
    const text = await (await ask('/metrics')).text()
    expect(text).toMatch(
      /^rocketmq_messages_in_total\{cluster="DefaultCluster",node_type="broker",node_id="broker-a",topic="Orders",is_system="false"\} 20$/m,
    )
    for (const name of ['skylark_event_loop_delay_seconds', 'skylark_fsync_seconds', 'process_resident_memory_bytes', 'skylark_held_pulls'])
      expect(text).toMatch(new RegExp(`^${name}[{ ]`, 'm'))
  })
})

test('a monitor that looks all the time takes nothing from the messages', async () => {
  const client = await createClient({ namesrvAddr, runtime: world.runtime })
  const producer = client.producer({ group: 'load', timeoutMs: 60_000 })
  let isSending = true
  const counted: number[] = []
  const scrape = async () => {
    while (isSending) {
      const text = await (await ask('/metrics')).text()
      counted.push(Number(/^rocketmq_messages_in_total\{[^}]*topic="Orders"[^}]*\} (\d+)$/m.exec(text)?.[1]))
    }
  }
  const scraping = [scrape(), scrape()]
  const before = broker.store.maxOffset('Orders', 0) + broker.store.maxOffset('Orders', 1)
  for (let i = 0; i < 40; i++)
    await Promise.all(Array.from({ length: 25 }, () => producer.send({ topic: 'Orders', body: 'x'.repeat(200) })))
  isSending = false
  await Promise.all(scraping)
  await client.close()
  expect(broker.store.maxOffset('Orders', 0) + broker.store.maxOffset('Orders', 1)).toBe(before + 1000)
  // What is shown is never ahead of what is stored.
  expect(counted.length).toBeGreaterThan(2)
  expect([...counted].sort((a, b) => a - b).at(-1)).toBeLessThanOrEqual(before + 1000)
  expect(counted.every(Number.isFinite)).toBe(true)
})

const cli = () => ({ runtime: world.runtime, env: {}, stdout: () => {}, stderr: () => {} })

describe('health', () => {
  test('alive and ready, with a reason when not', async () => {
    expect(await (await ask('/health/live')).json()).toEqual({ status: 'up', server: 'broker' })
    expect(await (await ask('/health/ready')).json()).toEqual({ status: 'ready', reasons: [] })
  })
})

describe('the admin API', () => {
  test('answers what --json prints', async () => {
    let printed = ''
    await runCli(['topic', 'route', '-t', 'Orders', '--json', '-n', namesrvAddr], { ...cli(), stdout: (text) => void (printed += text) })
    expect(await (await ask('/api/v1/topic/route?topic=Orders')).json()).toEqual(JSON.parse(printed))
  })

  test('creates and deletes topics and groups, asked for with JSON only', async () => {
    expect((await ask('/api/v1/topic?topic=Fresh&readQueueNums=2', { method: 'POST' })).status).toBe(415)
    expect((await ask('/api/v1/topic?topic=Fresh&readQueueNums=2', { method: 'POST', ...json })).status).toBe(200)
    expect(await (await ask('/api/v1/topic/list')).json()).toContain('Fresh')
    expect((await ask('/api/v1/topic?topic=Fresh', { method: 'DELETE', ...json })).status).toBe(200)
    expect(await (await ask('/api/v1/topic/list')).json()).not.toContain('Fresh')
    expect((await ask('/api/v1/group?group=made', { method: 'POST', ...json })).status).toBe(200)
    expect((await ask('/api/v1/group/config?group=made')).status).toBe(200)
    expect((await ask('/api/v1/group?group=made', { method: 'DELETE', ...json })).status).toBe(200)
    expect((await ask('/api/v1/group/config?group=made')).status).toBe(404)
  })

  test.each([
    ['/api/v1/topic/route', 400, /topic is missing/],
    ['/api/v1/topic/route?topic=Orders&colour=red', 400, /"colour" is not known/],
    ['/api/v1/topic/route?topic=a&topic=b', 400, /more than once/],
    ['/api/v1/topic/route?topic=None', 404, /None/],
    ['/api/v1/topic/route?topic=a%20b', 400, /topic is "a b"; names have letters/],
    ['/api/v1/topic/route?topic=', 400, /topic is empty/],
    ['/api/v1/message/consume?topic=Orders&queueId=x', 400, /queueId is "x"; it must be a whole number/],
    ['/api/v1/broker/status?clusterName=Other', 400, /no cluster Other; there are: DefaultCluster/],
    ['/api/v1/broker/status?brokerAddr=127.0.0.1:1', 400, /not known/],
    ['/api/v1/message/send?topic=Orders&body=x', 404, /openapi\.json/],
    ['/elsewhere', 404, /there is no GET/],
  ])('%s: %i', async (path, status, sentence) => {
    const answer = await ask(path)
    expect(answer.status).toBe(status)
    expect(((await answer.json()) as { error: string }).error).toMatch(sentence)
  })

  test('another method: 405, with those that there are', async () => {
    for (const [path, method, allowed] of [
      ['/api/v1/topic/list', 'POST', 'GET, HEAD'],
      ['/api/v1/topic?topic=x', 'GET', 'POST, DELETE'],
      ['/metrics', 'PUT', 'GET, HEAD'],
    ] as const) {
      const answer = await ask(path, { method })
      expect([path, answer.status, answer.headers.get('allow')]).toEqual([path, 405, allowed])
    }
  })

  test('whatever is asked of whatever the document lists, nothing fails inside: each answer is one that it lists, none is a 500', async () => {
    const document = (await (await ask('/api/v1/openapi.json')).json()) as {
      paths: Record<string, Record<string, { responses: object; parameters?: { name: string }[] }>>
    }
    const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { parameters = [], responses }]) => ({
        path,
        method: method.toUpperCase(),
        parameters,
        statuses: Object.keys(responses).map(Number),
      })),
    )
    expect(operations.length).toBeGreaterThan(15)
    const value = fc.oneof(
      fc.string({ maxLength: 40 }),
      fc.constantFrom(
        '',
        '0',
        '-1',
        '99999999999999999999',
        'Orders',
        '%DLQ%x',
        'true',
        '../../etc/passwd',
        '127.0.0.1:1',
        "'; --",
        '\u0000',
        '😀',
      ),
      fc.integer().map(String),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...operations),
        fc.array(value, { minLength: 12, maxLength: 12 }),
        fc.nat(4095),
        async (operation, values, mask) => {
          const query = operation.parameters.flatMap(({ name }, i) =>
            (mask >> (i % 12)) & 1 ? [`${encodeURIComponent(name)}=${encodeURIComponent(values[i % 12] as string)}`] : [],
          )
          const answer = await ask(`${operation.path}?${query.join('&')}`, { method: operation.method, ...json })
          await answer.arrayBuffer()
          expect(operation.statuses, `${operation.method} ${operation.path}?${query.join('&')}`).toContain(answer.status)
        },
      ),
      { numRuns: 150, endOnFailure: true },
    )
  })

  test('without CHANGE it only shows; OFF is off', async () => {
    for (const [adminApi, status] of [
      ['READ', 404],
      ['OFF', 404],
    ] as const) {
      const other = (await observation(world.runtime, { ...settings, adminApi }).start(
        { name: 'broker', figures: () => [], unready: () => ['closing'] },
        namesrvAddr,
      )) as Observer
      const at = `http://127.0.0.1:${other.port}`
      expect((await fetch(`${at}/api/v1/topic?topic=x`, { method: 'DELETE', ...json })).status).toBe(status)
      expect((await fetch(`${at}/api/v1/topic/list`)).status).toBe(adminApi === 'OFF' ? 404 : 200)
      expect((await fetch(`${at}/health/ready`)).status).toBe(503)
      await other.close()
    }
  })
})
