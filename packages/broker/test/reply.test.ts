import {
  PushReplyMessageToClient,
  SendReplyMessage,
  SendReplyMessageV2,
  formatProperties,
  parseProperties,
} from '@skylarkmq/remoting/protocol'
import type { RequestOf } from '@skylarkmq/remoting/protocol'
import { clientHandler } from '@skylarkmq/remoting'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { messagesIn, startScene, textOf } from './support.ts'
import type { Scene, TestClient } from './support.ts'

const REPLY_TOPIC = 'DefaultCluster_REPLY_TOPIC'
let scene: Scene
let responder: TestClient
let pushed: { header: RequestOf<typeof PushReplyMessageToClient>; body: string }[]
beforeEach(async () => {
  scene = await startScene()
  responder = scene.client('responder')
  pushed = []
})
afterEach(() => scene.close().catch(() => undefined))

async function asker(name: string, code: number | 'silence' = 0): Promise<TestClient> {
  const onReply = clientHandler(PushReplyMessageToClient, (header, { body }) => {
    pushed.push({ header, body: Buffer.from(body).toString() })
    return code === 'silence' ? undefined : { code }
  })
  const client = scene.client(name, [onReply])
  await client.heartbeat(name, [], ['askers', 'others'])
  return client
}

const replyTo = (
  clientId: string | undefined,
  body = 'pong',
  command: typeof SendReplyMessage | typeof SendReplyMessageV2 = SendReplyMessageV2,
) =>
  responder.invoke(
    command,
    {
      ...{ producerGroup: 'responders', topic: REPLY_TOPIC, defaultTopic: 'TBW102', defaultTopicQueueNums: 4, queueId: 0 },
      ...{ sysFlag: 0, bornTimestamp: 5, flag: 7, reconsumeTimes: 0, unitMode: false },
      properties: formatProperties([
        ['MSG_TYPE', 'reply'],
        ['CORRELATION_ID', 'c-1'],
        ['TTL', '3000'],
        ['REPLY_TO_CLIENT', clientId],
      ]),
    },
    Buffer.from(body),
  )

const stored = async () => messagesIn(await responder.pull(REPLY_TOPIC))

describe('a reply', () => {
  test('without a body reaches the client that asked, too: Go clients (2.1) lose it on their side', async () => {
    await asker('asker')
    expect((await replyTo('asker', '')).code).toBe(0)
    expect(pushed.map(({ body }) => body)).toEqual([''])
    expect((await stored()).map(textOf)).toEqual([''])
  })

  test.each([SendReplyMessage, SendReplyMessageV2])('reaches the client that asked, and is kept ($name)', async (command) => {
    await asker('asker')
    await asker('another')
    const answer = await replyTo('asker', 'pong', command as typeof SendReplyMessage)
    expect(answer.code).toBe(0)
    expect(pushed).toHaveLength(1)
    const { header, body } = pushed[0]!
    expect(body).toBe('pong')
    expect(header).toMatchObject({ producerGroup: 'responders', topic: REPLY_TOPIC, queueId: 0, bornTimestamp: 5, flag: 7 })
    expect(header.bornHost).toMatch(/^[\d.]+:\d+$/)
    expect(header.storeHost).toBe(scene.broker.address)
    const properties = parseProperties(header.properties ?? '')
    expect(properties.get('CORRELATION_ID')).toBe('c-1')
    expect(Number(properties.get('PUSH_REPLY_TIME'))).toBeGreaterThan(0)
    const [message] = await stored()
    expect(textOf(message!)).toBe('pong')
    expect(answer.header()).toMatchObject({ queueId: 0, queueOffset: 0, msgId: expect.stringMatching(/^[0-9A-F]{32}$/) })
  })

  test('is not kept where that is switched off', async () => {
    await scene.restart({ storeReplyMessageEnable: false })
    responder = scene.client('responder-2')
    await asker('asker')
    expect((await replyTo('asker')).header()).toMatchObject({ msgId: '0', queueId: 0, queueOffset: 0 })
    expect(pushed).toHaveLength(1)
    expect((await stored()).length).toBe(0)
  })

  test.each([
    [undefined, 'reply message properties[REPLY_TO_CLIENT] is null'],
    ['stranger', 'push reply message fail, channel of <stranger> not found.'],
  ])('to %s is told so', async (clientId, remark) => {
    expect(await replyTo(clientId)).toMatchObject({ code: 1, remark: expect.stringContaining(remark) })
  })

  test('is not pushed to a client that went away, or left all its groups; it is to one that came back', async () => {
    const first = await asker('asker')
    scene.world.kill('asker')
    expect((await replyTo('asker')).remark).toContain('channel of <asker> not found.')
    expect(first.address).toBe(scene.broker.address)
    await asker('asker')
    expect((await replyTo('asker')).code).toBe(0)
  })

  test('that the client refuses, or does not confirm within ten seconds, has failed', async () => {
    await asker('asker', 1)
    expect(await replyTo('asker')).toMatchObject({ code: 1, remark: expect.stringContaining('push reply message to askerfail.') })
    await asker('mute', 'silence')
    const before = scene.world.nowMs
    expect(await replyTo('mute')).toMatchObject({ code: 1, remark: expect.stringContaining('push reply message to mutefail.') })
    expect(scene.world.nowMs - before).toBeGreaterThanOrEqual(10_000)
  })
})
