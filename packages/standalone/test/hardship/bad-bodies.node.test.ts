/** Bodies and subscriptions that are not what they should be, at a real broker. */
import {
  CheckClientConfig,
  GetConsumerListByGroup,
  HeartBeat,
  LockBatchMq,
  UnlockBatchMq,
  UpdateAndCreateSubscriptiongroup,
  UpdateBrokerConfig,
  UpdateConsumerOffset,
} from '@skylarkmq/remoting/protocol'
import type { AnyCommand } from '@skylarkmq/remoting/protocol'
import { describe, expect, test } from 'vitest'
import { raw, INVALID, says, send, pull, askBody, property, reconnect } from './mistreated-broker.node.ts'

const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)
const notJson: readonly (readonly [string, string | Buffer])[] = [
  ['nothing', ''],
  ['half of it', '{"clientID":"c","consumerDataSet":[{'],
  ['bytes', Buffer.from([0, 255, 254, 128, 1, 2, 3])],
  ['a number', '5'],
  ['null', 'null'],
  ['a list', '[1,2,3]'],
  ['text', '"clientID"'],
  ['100,000 brackets', nested(100_000)],
  ['1,000,000 open brackets', '['.repeat(1_000_000)],
]
const wrongKinds: readonly (readonly [AnyCommand, string])[] = [
  [HeartBeat, '{"clientID":5,"consumerDataSet":7,"producerDataSet":"x"}'],
  [HeartBeat, '{"clientID":"c","consumerDataSet":[null,5,{"groupName":{}},{"groupName":"g","subscriptionDataSet":[null,7,{"topic":[]}]}]}'],
  [HeartBeat, '{"clientID":"c","consumerDataSet":{"__proto__":{"x":1}},"producerDataSet":[[[]]]}'],
  [LockBatchMq, '{"consumerGroup":"g","clientId":"c","mqSet":[null,5,{"topic":{},"queueId":"x"}]}'],
  [LockBatchMq, '{"consumerGroup":{},"clientId":[],"mqSet":7}'],
  [UnlockBatchMq, '{"consumerGroup":"g","clientId":"c","mqSet":{"a":1}}'],
  [CheckClientConfig, '{"subscriptionData":{"expressionType":5,"subString":{"a":1}}}'],
  [CheckClientConfig, '{"subscriptionData":{"expressionType":"TAG","subString":{"a":1}}}'],
  [CheckClientConfig, '{"subscriptionData":{"subString":5}}'],
  [CheckClientConfig, '{"subscriptionData":[1]}'],
  [UpdateAndCreateSubscriptiongroup, '{"groupName":["x"],"retryMaxTimes":"often"}'],
]

describe('a body', () => {
  const commands = [HeartBeat, LockBatchMq, UnlockBatchMq, CheckClientConfig, UpdateAndCreateSubscriptiongroup]
  test.each(commands.flatMap((command) => notJson.map(([what, body]) => [command.name, what, command, body] as const)))(
    'of %s that is %s is answered',
    async (_, __, command, body) => {
      const answer = await askBody(command, body)
      if (answer.code !== 0) expect(answer).toMatchObject({ code: INVALID, remark: expect.stringMatching(/\S/) })
      else expect(command).toBe(CheckClientConfig)
    },
  )

  test.each(wrongKinds.map(([command, body]) => [command.name, body, command] as const))(
    'of %s with values of other kinds: %s',
    async (_, body, command) => {
      const answer = await askBody(command, body)
      if (answer.code !== 0) expect(answer.remark).toMatch(/\S/)
      expect(answer.remark ?? '').not.toMatch(/^the server failed/)
    },
  )

  test('of a heartbeat with 20,000 subscriptions is read whole', async () => {
    const subscriptionDataSet = Array.from({ length: 20_000 }, (_, i) => ({ topic: `t${i}`, subString: '*', subVersion: i }))
    const consumerData = {
      groupName: 'huge',
      consumeType: 'CONSUME_PASSIVELY',
      messageModel: 'CLUSTERING',
      consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
    }
    const body = JSON.stringify({ clientID: 'huge', consumerDataSet: [{ ...consumerData, subscriptionDataSet }], producerDataSet: [] })
    const answer = await askBody(HeartBeat, body)
    if (answer.code !== 0) expect(answer).toMatchObject({ code: INVALID, remark: says(20_000) })
  })

  test('of a heartbeat with 5,000 groups is answered, and they can leave again', async () => {
    const group = { consumeType: 'CONSUME_PASSIVELY', messageModel: 'CLUSTERING', consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET' }
    const consumerDataSet = Array.from({ length: 5_000 }, (_, i) => ({ groupName: `g${i}`, ...group, subscriptionDataSet: [] }))
    expect((await askBody(HeartBeat, JSON.stringify({ clientID: 'many', consumerDataSet, producerDataSet: [] }))).code).toBe(0)
    expect((await raw.ask({ code: GetConsumerListByGroup.code, ext: { consumerGroup: 'g4999' } })).code).toBe(0)
    await reconnect()
    let code = 0
    while (code === 0) code = (await raw.ask({ code: GetConsumerListByGroup.code, ext: { consumerGroup: 'g4999' } })).code
    expect(code).toBe(1)
  })

  test('of a lock request with 100,000 queues is over the limit', async () => {
    const mqSet = Array.from({ length: 100_000 }, (_, queueId) => ({ topic: 'neighbours', brokerName: 'broker-a', queueId }))
    const answer = await askBody(LockBatchMq, JSON.stringify({ consumerGroup: 'g', clientId: 'c', mqSet }))
    expect(answer).toMatchObject({ code: INVALID, remark: says(100_000, 65_536) })
  })

  test.each([
    ['no property', 'garbage'],
    ['an unknown key', 'noSuchKey=1\n'],
    ['a bad value', 'maxTransferCountOnMessageInMemory=many\n'],
    ['a fixed key', 'listenPort=1\n'],
    ['bytes', Buffer.from([255, 0, 10, 61])],
  ])('of a new configuration with %s is refused, or changes nothing', async (_, body) => {
    const answer = await askBody(UpdateBrokerConfig, body)
    if (answer.code !== 0) expect(answer.remark).toMatch(/\S/)
    expect((await send('neighbours')).code).toBe(0)
  })
})

describe('a subscription', () => {
  test.each([
    ['only separators', '|| || ||', 23],
    ['50,000 tags', Array.from({ length: 50_000 }, (_, i) => `tag${i}`).join('||'), 20],
  ])('of %s', async (_, subscription, code) => {
    await send('subscribed', 'x', { properties: property(['TAGS', 'other']) })
    expect((await pull('subscribed', { subscription })).code).toBe(code)
  })

  test('by an expression that the broker does not know', async () => {
    const answer = await pull('neighbours', { subscription: `a = ${'('.repeat(100_000)}`, expressionType: 'SQL92' })
    expect(answer).toMatchObject({ code: 1, remark: says('SQL92') })
  })

  test('offsets from elsewhere are answered with where the queue is', async () => {
    await send('offsets')
    for (const queueOffset of ['-1', '5', '9007199254740991']) {
      const answer = await pull('offsets', { queueOffset })
      expect(answer).toMatchObject({ code: 21, ext: { minOffset: '0', maxOffset: '1' } })
    }
    expect((await pull('offsets', { maxMsgNums: '-5' })).code).toBe(0)
    const commit = { consumerGroup: 'cg', topic: 'offsets', queueId: '0', commitOffset: '-7' }
    const answer = await raw.ask({ code: UpdateConsumerOffset.code, ext: commit })
    expect(answer.code === 0 || /\S/.test(answer.remark ?? '')).toBe(true)
  })
})
