/** What a person sees who asks where a group stands, moves it, and asks why a message did not come. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from '@skylarkmq/client'
import type { Client, ConsumedMessage } from '@skylarkmq/client'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { startLocal } from '@skylarkmq/standalone'
import type { Local } from '@skylarkmq/standalone'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { runCli } from '../src/index.ts'

const runtime = nodeRuntime()
let local: Local
let client: Client

async function skylark(...argv: string[]) {
  let out = ''
  let err = ''
  const world = {
    runtime,
    env: { NAMESRV_ADDR: local.namesrvAddr },
    stdout: (text: string) => void (out += text),
    stderr: (text: string) => void (err += text),
  }
  return { code: await runCli(argv, world), out, err }
}

const cells = (out: string) =>
  out
    .trimEnd()
    .split('\n')
    .map((line) => line.trim().split(/ {2,}/))

const ATTEMPTS = { timeout: 30_000, interval: 50 }

async function topic(name: string) {
  await skylark('updateTopic', '-t', name, '-r', '1', '-w', '1')
}

async function send(to: string, ...bodies: string[]): Promise<string[]> {
  const producer = client.producer({ group: 'p' })
  const ids: string[] = []
  for (const body of bodies) ids.push((await producer.send({ topic: to, body, tags: body.startsWith('B') ? 'TagB' : 'TagA' })).messageId)
  await producer.close()
  return ids
}

/** Consumes what is there and commits it. */
async function consume(group: string, to: string, count: number) {
  const seen: string[] = []
  const handler = (message: ConsumedMessage) => void seen.push(message.text)
  const consumer = client.pushConsumer({ group, subscriptions: { [to]: '*' }, consumeFrom: 'first', handler })
  await consumer.start()
  await vi.waitFor(() => expect(seen.length).toBeGreaterThanOrEqual(count), ATTEMPTS)
  await consumer.close()
}

beforeAll(async () => {
  const broker = { messageDelayLevel: '1s 2s 1h 1h', queueStalledSeconds: 1 }
  local = await startLocal(runtime, { storePath: mkdtempSync(join(tmpdir(), 'skylark-consumption-')), broker })
  client = await createClient({ namesrvAddr: local.namesrvAddr, runtime })
})
afterAll(async () => {
  await client?.close({ drainMs: 0 })
  await local?.close()
})

describe('an operator moves a group', () => {
  test('offline: it is shown first, then done, then verified; a closed consumer’s progress was stored', { timeout: 60_000 }, async () => {
    await topic('Moves')
    await send('Moves', 'A1', 'A2', 'A3')
    await consume('mover', 'Moves', 3)

    const preview = await skylark('offset', 'reset', '-g', 'mover', '-t', 'Moves', '-s', 'earliest', '--dry-run')
    expect(preview).toMatchObject({ code: 0, err: '' })
    expect(cells(preview.out)).toEqual([
      ['topic', 'broker', 'queue', 'offset', 'new offset', 'effect'],
      ['Moves', 'broker-a', '0', '3', '0', 'replays 3'],
      ['would be done: skips 0 messages, replays 3'],
    ])
    const done = await skylark('resetOffsetByTime', '-g', 'mover', '-t', 'Moves', '-s', '0')
    expect(cells(done.out).at(-1)).toEqual(['skips 0 messages, replays 3; verified'])
    await consume('mover', 'Moves', 3)

    await send('Moves', 'A4', 'A5')
    const skipped = await skylark('offset', 'skip', '-g', 'mover', '-t', 'Moves')
    expect(cells(skipped.out).slice(1)).toEqual([
      ['Moves', 'broker-a', '0', '3', '5', 'skips 2'],
      ['skips 2 messages, replays 0; verified'],
    ])
    const one = await skylark('offset', 'reset', '-g', 'mover', '-t', 'Moves', '-s', '-1', '-b', 'broker-a', '-q', '0', '-o', '4', '--json')
    expect(JSON.parse(one.out)).toMatchObject({ verified: true, queues: [{ queueId: 0, current: 5, target: 4 }] })
    const out = await skylark('offset', 'reset', '-g', 'mover', '-t', 'Moves', '-s', '-1', '-b', 'broker-a', '-q', '0', '-o', '9')
    expect(out.code).toBe(2)
    expect(out.err).toContain('offset 9 is not in queue broker-a/0 of topic Moves: it holds 0 to 5')
  })

  test('online: the consumer goes back, without a restart', { timeout: 60_000 }, async () => {
    await topic('Online')
    await send('Online', 'A1', 'A2')
    const seen: string[] = []
    let goOn = () => {}
    const looked = new Promise<void>((resolve) => (goOn = resolve))
    // Whoever has replayed all before the tool looks is where it was.
    const handler = async (message: ConsumedMessage) => {
      seen.push(message.text)
      if (seen.length > 2) await looked
    }
    const consumer = client.pushConsumer({ group: 'online', subscriptions: { Online: '*' }, consumeFrom: 'first', handler })
    await consumer.start()
    await vi.waitFor(() => expect(seen).toEqual(['A1', 'A2']), ATTEMPTS)
    const done = await skylark('offset', 'reset', '-g', 'online', '-t', 'Online', '-s', 'earliest')
    expect(done).toMatchObject({ code: 0, out: expect.stringContaining('; verified') })
    goOn()
    await vi.waitFor(() => expect(seen).toEqual(['A1', 'A2', 'A1', 'A2']), ATTEMPTS)
    await consumer.close()
  })

  test('a group is set to where another one is', { timeout: 60_000 }, async () => {
    await topic('Clones')
    await send('Clones', 'A1', 'A2')
    await consume('first', 'Clones', 2)
    await skylark('updateSubGroup', '-g', 'second')
    const cloned = await skylark('offset', 'clone', '-s', 'first', '-d', 'second', '-t', 'Clones')
    expect(cells(cloned.out)).toEqual([
      ['broker', 'queue', 'first', 'second'],
      ['broker-a', '0', '2', '2'],
      ['group second is where group first is in 1 queues of topic Clones'],
    ])
    const nothing = await skylark('offset', 'clone', '-s', 'nobody', '-d', 'second', '-t', 'Clones')
    expect(nothing).toMatchObject({ code: 1, err: expect.stringContaining('group nobody has no offset in topic Clones') })
  })
})

describe('what is wrong with a group', () => {
  test('members that subscribe differently are named; then nothing is wrong', { timeout: 60_000 }, async () => {
    await topic('Differ')
    const other = await createClient({ namesrvAddr: local.namesrvAddr, runtime, instanceName: 'other' })
    const handler = () => {}
    const a = client.pushConsumer({ group: 'differ', subscriptions: { Differ: 'TagA' }, handler })
    const b = other.pushConsumer({ group: 'differ', subscriptions: { Differ: 'TagB' }, handler })
    await a.start()
    await b.start()
    const sick = await skylark('group', 'doctor', '-g', 'differ')
    expect(sick.code).toBe(1)
    expect(sick.out).toMatch(/the members of group differ subscribe differently: .*Differ: TagA against TagB/)
    const json = JSON.parse((await skylark('groupDoctor', '-g', 'differ', '--json')).out)
    expect(json.members).toHaveLength(2)
    expect(json.findings).toMatchObject([{ kind: 'subscriptions-differ', brokerName: 'broker-a', group: 'differ' }])
    await b.close()
    const well = await skylark('group', 'doctor', '-g', 'differ')
    expect(well).toMatchObject({ code: 0, out: expect.stringContaining('nothing is wrong with group differ') })
    await a.close()
    await other.close()
    expect((await skylark('group', 'doctor', '-g', 'differ')).out).toContain('group differ has no member: nobody consumes')
  })
})

describe('why did a message not come, or come twice', () => {
  const standing = async (id: string, group: string, ...more: string[]): Promise<string> => {
    const { out, err } = await skylark('explain', id, '-g', group, ...more, '--json')
    expect(err).toBe('')
    const value = JSON.parse(out) as { standing: string; sentence: string }
    return `${value.standing}: ${value.sentence}`
  }

  test('consumed, filtered, failed, and not there yet', { timeout: 90_000 }, async () => {
    await topic('Why')
    const [good, bad, unwanted] = (await send('Why', 'A good', 'A bad', 'B')) as [string, string, string]
    await skylark('updateSubGroup', '-g', 'why', '-r', '2')
    const seen: string[] = []
    const handler = (message: ConsumedMessage) => {
      seen.push(message.text)
      if (message.text === 'A bad') throw new Error('no')
    }
    const options = { group: 'why', subscriptions: { Why: 'TagA' }, consumeFrom: 'first', handler } as const
    const consumer = client.pushConsumer(options)
    await consumer.start()
    await vi.waitFor(() => expect(seen).toContain('A good'), ATTEMPTS)
    // The third level, an hour: the first retry waits that long.
    await vi.waitFor(async () => expect(await standing(bad, 'why')).toMatch(/^waits-for-retry: .*retry 1 of 2 waits until /), ATTEMPTS)
    expect(await standing(unwanted, 'why', '-t', 'Why')).toBe(
      'filtered: it is filtered out: its tag is TagB, and group why subscribes to TagA',
    )
    await vi.waitFor(
      async () => expect(await standing(good, 'why')).toMatch(/^acknowledged: .* since .*; it was delivered at .* to /),
      ATTEMPTS,
    )
    await consumer.close()

    const [late] = (await send('Why', 'A late')) as [string]
    expect(await standing(late, 'why')).toMatch(
      /^no-consumer: it has not been delivered: group why has no member now; it is the next one of/,
    )
    await skylark('offset', 'skip', '-g', 'why', '-t', 'Why')
    expect(await standing(late, 'why')).toMatch(/^skipped: .* an operator moved the group to offset 4/)

    const people = await skylark('explain', bad, '-g', 'why')
    const rows = cells(people.out)
    expect(rows[0]).toEqual(['time', 'what', 'where'])
    expect(rows.map((row) => row[1])).toEqual(
      expect.arrayContaining(['stored, tag TagA', 'delivered', 'given back by a consumer: retry 1 waits']),
    )
    expect(people.out).toMatch(/^waits-for-retry: a consumer failed at it and gave it back/m)
  })

  test('dead letters', { timeout: 60_000 }, async () => {
    await topic('Dies')
    const [id] = (await send('Dies', 'A')) as [string]
    const handler = () => {
      throw new Error('never')
    }
    const options = { group: 'dies', subscriptions: { Dies: '*' }, consumeFrom: 'first', maxReconsumeTimes: 0, handler } as const
    const consumer = client.pushConsumer(options)
    await consumer.start()
    await vi.waitFor(async () => expect(await standing(id, 'dies')).toMatch(/^dead: .*%DLQ%dies since /), ATTEMPTS)
    await consumer.close()
  })

  test('an id that nobody has, and no id at all', async () => {
    const nobody = await skylark('explain', 'ABC', '-g', 'why', '-t', 'Why')
    expect(nobody).toMatchObject({ code: 1, err: expect.stringContaining('no message with the id ABC was found in Why') })
    expect((await skylark('message', 'explain', '-g', 'why')).code).toBe(2)
  })
})
