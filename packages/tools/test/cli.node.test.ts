/** What a person sees at the terminal, against a real cluster in this process. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from '@skylarkmq/client'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { startLocal } from '@skylarkmq/standalone'
import type { Local } from '@skylarkmq/standalone'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { COMMANDS, runCli } from '../src/index.ts'

const runtime = nodeRuntime()
let local: Local

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

/** Cells of a table: columns are two or more spaces apart. */
const cells = (out: string) =>
  out
    .trimEnd()
    .split('\n')
    .map((line) => line.trim().split(/ {2,}/))

beforeAll(async () => {
  local = await startLocal(runtime, { storePath: mkdtempSync(join(tmpdir(), 'skylark-cli-')) })
})
afterAll(() => local?.close())

describe('a message of an application with a namespace', () => {
  test('it is sent with a message trace, and read again by the same names', async () => {
    const named = ['-t', 'Orders', '--namespace', 'red'] as const
    const made = await skylark('topic', 'update', '-t', 'red%Orders', '-r', '1', '-w', '1')
    expect(made.code).toBe(0)
    const sent = await skylark('message', 'send', ...named, '-p', 'hello', '-m', 'true', '--json')
    expect(sent).toMatchObject({ code: 0, err: '' })
    const { messageId, queue } = JSON.parse(sent.out)
    expect(queue.topic).toBe('red%Orders')
    expect(JSON.parse((await skylark('message', 'consume', ...named, '--json')).out)).toMatchObject([{ messageId, body: 'hello' }])
    const trace = await skylark('message', 'consume', '-t', 'RMQ_SYS_TRACE_TOPIC', '--json')
    expect(JSON.parse(trace.out)).toMatchObject([{ body: expect.stringMatching(new RegExp(`^Pub\\u0001.*red%Orders.*${messageId}`)) }])
    expect((await skylark('deleteTopic', '-t', 'red%Orders')).code).toBe(0)
  })
})

describe('a topic from birth to death', () => {
  test('it is made, written to, looked at, read and deleted', async () => {
    const made = await skylark('topic', 'update', '-t', 'Orders', '-r', '2', '-w', '2')
    expect(made).toMatchObject({ code: 0, err: '' })
    expect(made.out).toBe(`topic Orders is set at broker-a (${local.brokerAddr})\n`)

    const sent = await skylark('sendMessage', '-t', 'Orders', '-p', 'hello', '-k', 'key-1', '-c', 'TagA', '-b', 'broker-a', '-i', '1')
    expect(sent.code).toBe(0)
    const [columns, row] = cells(sent.out)
    expect(columns).toEqual(['broker', 'queue', 'offset', 'status', 'message id'])
    expect(row?.slice(0, 4)).toEqual(['broker-a', '1', '0', 'OK'])
    const messageId = row?.[4] as string

    expect(cells((await skylark('topic', 'route', '-t', 'Orders')).out)).toEqual([
      ['cluster', 'broker', 'addresses', 'read', 'write', 'perm'],
      ['DefaultCluster', 'broker-a', `0: ${local.brokerAddr}`, '2', '2', 'RW-'],
    ])

    const status = cells((await skylark('topicStatus', '-t', 'Orders')).out)
    expect(status[0]).toEqual(['broker', 'queue', 'min offset', 'max offset', 'messages', 'last message'])
    expect(status[1]?.slice(0, 5)).toEqual(['broker-a', '0', '0', '0', '0'])
    expect(status[2]?.slice(0, 5)).toEqual(['broker-a', '1', '0', '1', '1'])
    expect(status[3]).toEqual(['1 messages in 2 queues'])

    const read = await skylark('message', 'consume', '-t', 'Orders', '--json')
    expect(JSON.parse(read.out)).toMatchObject([{ queueId: 1, queueOffset: 0, tag: 'TagA', messageId, body: 'hello' }])

    const byKey = await skylark('queryMsgByKey', '-t', 'Orders', '-k', 'key-1', '--json')
    expect(JSON.parse(byKey.out)).toMatchObject([{ messageId, keys: ['key-1'], body: 'hello' }])
    const offsetMessageId = JSON.parse(byKey.out)[0].offsetMessageId as string
    for (const id of [messageId, offsetMessageId]) {
      const one = await skylark('queryMsgById', '-t', 'Orders', '-i', id, '--json')
      expect(JSON.parse(one.out)).toMatchObject({ topic: 'Orders', messageId, body: 'hello' })
    }

    expect((await skylark('topicList')).out).toMatch(/^Orders$/m)
    expect((await skylark('deleteTopic', '-t', 'Orders')).out).toBe('topic Orders is deleted at broker-a and at the NameServers\n')
    expect((await skylark('topicList')).out).not.toMatch(/^Orders$/m)
  })

  test('a group’s lag is what it has not consumed', async () => {
    await skylark('updateTopic', '-t', 'Lag', '-r', '1', '-w', '1')
    expect((await skylark('updateSubGroup', '-g', 'slow', '-r', '3')).out).toBe(`group slow is set at broker-a (${local.brokerAddr})\n`)
    const client = await createClient({ namesrvAddr: local.namesrvAddr, runtime })
    const consumer = client.pushConsumer({ group: 'slow', subscriptions: { Lag: '*' }, consumeFrom: 'first' })
    const producer = client.producer({ group: 'p' })
    await producer.send({ topic: 'Lag', body: 'one' })
    for await (const message of consumer.messages()) {
      expect(message.text).toBe('one')
      break
    }
    await consumer.close()
    for (const body of ['two', 'three']) await producer.send({ topic: 'Lag', body })
    await client.close()

    const progress = cells((await skylark('consumerProgress', '-g', 'slow', '-t', 'Lag')).out)
    expect(progress).toEqual([
      ['topic', 'broker', 'queue', 'broker offset', 'consumer offset', 'lag'],
      ['Lag', 'broker-a', '0', '3', '1', '2'],
      ['lag of group slow: 2 messages'],
    ])
    expect(cells((await skylark('consumerProgress')).out)).toContainEqual(['slow', '0', '2', '2'])
  })
})

describe('what goes wrong is said plainly', () => {
  test('nobody listens at the NameServer’s address', async () => {
    const { code, out, err } = await skylark('topicList', '-n', '127.0.0.1:1')
    expect({ code, out }).toEqual({ code: 1, out: '' })
    expect(err).toMatch(/127\.0\.0\.1:1/)
    expect(err).toMatch(/NAMESRV_ADDR|skylark dev/)
  })

  test('the topic does not exist', async () => {
    const { code, err } = await skylark('topicStatus', '-t', 'a/b')
    expect(code).not.toBe(0)
    expect(err).toMatch(/a\/b/)
  })

  test.each([
    [['topicRoute'], /required option '-t, --topic <topic>'/],
    [['nonsense'], /unknown command 'nonsense'/],
    [['updateTopic', '-t', 'T', '-r', 'many'], /readQueueNums is "many"; it must be a whole number/],
    [['sendMessage', '-t', 'T', '-p', 'x', '-b', 'broker-a'], /-b and -i go together/],
    [['queryMsgByKey', '-t', 'T', '-k', 'x', '-b', 'yesterday'], /beginTimestamp is "yesterday"/],
  ] as [string[], RegExp][])('the command line %j is wrong: exit code 2', async (argv, sentence) => {
    const { code, err } = await skylark(...argv)
    expect(code).toBe(2)
    expect(err).toMatch(sentence)
  })

  test('an error under --json is JSON too', async () => {
    const { code, err } = await skylark('queryMsgById', '-i', 'zz', '--json')
    expect(code).toBe(1)
    expect(JSON.parse(err)).toMatchObject({ code: 'QUERY_NOT_FOUND' })
  })
})

test('every command is found by noun and verb, and by mqadmin’s name', async () => {
  for (const command of COMMANDS) {
    const own = await skylark(command.noun, command.verb, '--help')
    const apache = await skylark(command.alias, '--help')
    expect(own.code).toBe(0)
    expect(own.out.replaceAll(/\s+/g, ' ')).toContain(command.summary)
    expect(apache.out.replaceAll(/\s+/g, ' ')).toContain(command.summary)
  }
})

test('the cluster list names each broker with its version', async () => {
  const [columns, row] = cells((await skylark('clusterList')).out)
  expect(columns).toEqual(['cluster', 'broker', 'id', 'address', 'version', 'in/s', 'out/s'])
  expect(row?.slice(0, 4)).toEqual(['DefaultCluster', 'broker-a', '0', local.brokerAddr])
})
