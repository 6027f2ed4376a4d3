/** Our command line over Apache's broker: what it can know from requests that every broker answers. */
import { createClient } from '@skylarkmq/client'
import type { Client, ConsumedMessage } from '@skylarkmq/client'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { runCli } from '@skylarkmq/tools'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { apacheCluster } from './src/clusters.ts'
import type { Cluster } from './src/clusters.ts'
import { createTopic, unique } from './src/features.ts'
import { jars } from './src/toolchains.ts'

const runtime = nodeRuntime()
const found = jars('5.5.0', 'servers')
// A cluster of Apache's takes its time: the judge's run has it, the everyday one does not.
const missing = 'missing' in found ? found.missing : process.env.INTEROP_JUDGE ? undefined : 'INTEROP_JUDGE=1 runs it'
const WITHIN = { timeout: 90_000, interval: 200 }

describe.skipIf(missing !== undefined)(`on Apache RocketMQ 5.5.0${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  let cluster: Cluster
  let client: Client
  beforeAll(async () => {
    cluster = await apacheCluster('5.5.0')
    client = await createClient({ namesrvAddr: cluster.namesrv, runtime })
  }, 200_000)
  afterAll(async () => {
    await client?.close({ drainMs: 0 })
    await cluster?.stop()
  }, 60_000)

  async function skylark(...argv: string[]) {
    let out = ''
    let err = ''
    const world = {
      runtime,
      env: { NAMESRV_ADDR: cluster.namesrv },
      stdout: (s: string) => void (out += s),
      stderr: (s: string) => void (err += s),
    }
    return { code: await runCli(argv, world), out, err }
  }

  test('a group is moved while it is online, its health is asked of its members, messages are explained', {
    timeout: 400_000,
  }, async () => {
    const [topic, group] = [await createTopic(cluster), unique('g')]
    const producer = client.producer({ group: 'p' })
    const ids: string[] = []
    for (const tags of ['A', 'A', 'B']) ids.push((await producer.send({ topic, body: tags, tags })).messageId)
    const seen: string[] = []
    const handler = (message: ConsumedMessage) => void seen.push(message.text)
    const consumer = client.pushConsumer({ group, subscriptions: { [topic]: 'A' }, consumeFrom: 'first', handler })
    await consumer.start()
    await vi.waitFor(() => expect(seen).toEqual(['A', 'A']), WITHIN)

    const standing = async (id: string) => JSON.parse((await skylark('explain', id, '-g', group, '-t', topic, '--json')).out) as object
    await vi.waitFor(async () => expect(await standing(ids[0] as string)).toMatchObject({ standing: 'acknowledged' }), WITHIN)
    expect(await standing(ids[2] as string)).toMatchObject({ standing: 'filtered' })

    const doctor = await skylark('group', 'doctor', '-g', group)
    expect(doctor).toMatchObject({ code: 0, out: expect.stringContaining(`nothing is wrong with group ${group}`) })

    const preview = await skylark('offset', 'reset', '-g', group, '-t', topic, '-s', 'earliest', '--dry-run')
    expect(preview.out).toMatch(/would be done: skips 0 messages, replays [23]/)
    const done = await skylark('offset', 'reset', '-g', group, '-t', topic, '-s', 'earliest')
    expect(done).toMatchObject({ code: 0, out: expect.stringContaining('verified') })
    await vi.waitFor(() => expect(seen).toEqual(['A', 'A', 'A', 'A']), WITHIN)

    await consumer.close()
    const [late] = [await producer.send({ topic, body: 'A', tags: 'A' })]
    expect(await standing(late.messageId)).toMatchObject({ standing: 'no-consumer' })
    expect((await skylark('offset', 'skip', '-g', group, '-t', topic)).out).toMatch(/skips \d messages, replays 0; verified/)
    expect(await standing(late.messageId)).toMatchObject({ standing: 'acknowledged' })
  })
})
