import { describe, expect, test } from 'vitest'
import type { RegisterBrokerBody } from '../../src/protocol/index.ts'
import {
  buildSubscription,
  decodeClusterInfo,
  decodeConsumerConnection,
  decodeConsumerIdList,
  decodeConsumeStats,
  decodeDataVersion,
  decodeGroupConfig,
  decodeGroupConfigTable,
  decodeHeartbeat,
  decodeKVTable,
  decodeLockBatch,
  decodeLockResult,
  decodeRegisterBroker,
  decodeTopicConfig,
  decodeTopicConfigTable,
  decodeTopicList,
  decodeTopicRoute,
  decodeTopicStats,
  encodeClusterInfo,
  encodeConsumerConnection,
  encodeConsumerIdList,
  encodeConsumeStats,
  encodeHeartbeat,
  encodeJson,
  encodeKVTable,
  encodeLockBatch,
  encodeLockResult,
  encodeRegisterBroker,
  encodeTopicList,
  encodeTopicRoute,
  encodeTopicStats,
  javaStringHash,
  normalizeGroupConfig,
  normalizeTopicConfig,
  RocketError,
} from '../../src/protocol/index.ts'
import { apache } from './golden.ts'

const json = (text: string): Buffer => Buffer.from(text)
const queue = { topic: 'TopicTest', brokerName: 'broker-a', queueId: 3 }
const subscription = {
  topic: 'TopicTest',
  subString: 'TagA || TagB|| 标签',
  subVersion: 1700000000123n,
  expressionType: 'TAG',
  classFilterMode: false,
}
const sortedTags = <T extends { tagsSet: readonly string[]; codeSet: readonly number[] }>(s: T) => ({
  ...s,
  tagsSet: [...s.tagsSet].sort(),
  codeSet: [...s.codeSet].sort((a, b) => a - b),
})
const expectedSubscription = sortedTags({ ...subscription, tagsSet: ['TagA', 'TagB', '标签'], codeSet: [2598919, 2598920, 857175] })

describe('bodies that Apache wrote', () => {
  test('a heartbeat, with tags and their codes', () => {
    const heartbeat = decodeHeartbeat(apache('body/heartbeat'))
    expect(heartbeat).toMatchObject({
      clientID: '10.0.0.5@12345#67890',
      producerDataSet: [{ groupName: 'pg' }],
      heartbeatFingerprint: 0,
      withoutSub: false,
    })
    const [consumer] = heartbeat.consumerDataSet
    expect(consumer).toMatchObject({
      groupName: 'cg',
      consumeType: 'CONSUME_PASSIVELY',
      messageModel: 'CLUSTERING',
      consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
      unitMode: false,
    })
    expect(consumer?.subscriptionDataSet.map(sortedTags)).toEqual([expectedSubscription])
    expect(decodeHeartbeat(encodeHeartbeat(heartbeat))).toEqual(heartbeat)
  })

  test('a route with unquoted and with quoted broker ids; ours is the same text', () => {
    for (const [name, quoted] of [
      ['body/route-unquoted', false],
      ['body/route-quoted', true],
    ] as const) {
      const route = decodeTopicRoute(apache(name))
      expect(route).toEqual({
        orderTopicConf: 'broker-a:4',
        queueDatas: [{ brokerName: 'broker-a', readQueueNums: 4, writeQueueNums: 4, perm: 6, topicSysFlag: 0 }],
        brokerDatas: [
          {
            cluster: 'DefaultCluster',
            brokerName: 'broker-a',
            brokerAddrs: { '0': '10.0.0.1:10911', '1': '10.0.0.2:10911' },
            zoneName: undefined,
            enableActingMaster: false,
          },
        ],
        filterServerTable: {},
      })
      expect(encodeTopicRoute(route, quoted).toString()).toBe(apache(name).toString())
    }
  })

  test('a cluster, with unquoted broker ids', () => {
    const info = decodeClusterInfo(apache('body/cluster'))
    expect(info.clusterAddrTable['DefaultCluster']).toEqual(['broker-a'])
    expect(info.brokerAddrTable['broker-a']?.brokerAddrs['1']).toBe('10.0.0.2:10911')
    expect(decodeClusterInfo(encodeClusterInfo(info))).toEqual(info)
    expect(() => JSON.parse(encodeClusterInfo(info).toString())).not.toThrow()
  })

  test('a registration, plain and compressed, tells the same', () => {
    const plain = decodeRegisterBroker(apache('body/register'))
    expect(plain.topicConfigSerializeWrapper.dataVersion).toEqual({ stateVersion: 0, timestamp: 1700000000000, counter: 12 })
    expect(plain.topicConfigSerializeWrapper.topicConfigTable['TopicTest']).toMatchObject({ readQueueNums: 4, writeQueueNums: 5, perm: 6 })
    expect(plain.topicConfigSerializeWrapper.topicConfigTable['Fifo']).toMatchObject({
      attributes: { '+message.type': 'FIFO' },
      order: true,
    })
    const compressed = decodeRegisterBroker(apache('body/register-compressed'))
    // The compressed lines do not carry `order`.
    const fifo = plain.topicConfigSerializeWrapper.topicConfigTable['Fifo']
    expect(compressed).toEqual({
      ...plain,
      topicConfigSerializeWrapper: {
        ...plain.topicConfigSerializeWrapper,
        topicConfigTable: { ...plain.topicConfigSerializeWrapper.topicConfigTable, Fifo: { ...fifo, order: false } },
      },
    })
    expect(decodeRegisterBroker(encodeRegisterBroker(plain))).toEqual(plain)
    expect(decodeRegisterBroker(encodeRegisterBroker(plain, { compressed: true }))).toEqual(compressed)
  })

  test('tables by message queue; ours are the same text where the fields are', () => {
    const stats = decodeConsumeStats(apache('body/consume-stats'))
    expect(stats).toEqual({
      consumeTps: 1.5,
      offsetTable: [[queue, { brokerOffset: 9, consumerOffset: 7, pullOffset: 8, lastTimestamp: 1700000000000 }]],
    })
    expect(decodeConsumeStats(encodeConsumeStats(stats))).toEqual(stats)
    const topic = decodeTopicStats(apache('body/topic-stats'))
    expect(topic).toEqual({ offsetTable: [[queue, { minOffset: 1, maxOffset: 9, lastUpdateTimestamp: 1700000000000 }]] })
    expect(decodeTopicStats(encodeTopicStats(topic))).toEqual(topic)
    // Apache's tools accept the queue only as an object in place of the key.
    expect(encodeTopicStats(topic).toString()).toContain('{{"brokerName":"broker-a","queueId":3,"topic":"TopicTest"}:{')
  })

  test('connections, locks, configs', () => {
    const connection = decodeConsumerConnection(apache('body/consumer-connection'))
    expect(connection.connectionSet).toEqual([{ clientId: 'c1', clientAddr: '10.0.0.5:5555', language: 'GO', version: 317 }])
    expect(Object.values(connection.subscriptionTable).map(sortedTags)).toEqual([expectedSubscription])
    expect(decodeConsumerConnection(encodeConsumerConnection(connection))).toEqual(connection)
    const lock = decodeLockBatch(apache('body/lock'))
    expect(lock).toEqual({ consumerGroup: 'cg', clientId: 'c1', onlyThisBroker: false, mqSet: [queue] })
    expect(decodeLockBatch(encodeLockBatch(lock))).toEqual(lock)
    expect(decodeLockResult(apache('body/lock-result'))).toEqual([queue])
    expect(decodeLockResult(encodeLockResult([queue]))).toEqual([queue])
    const { groupRetryPolicy, ...group } = decodeGroupConfig(apache('body/group-config'))
    expect(group).toEqual(normalizeGroupConfig({ groupName: 'cg' }))
    expect(encodeJson(groupRetryPolicy).toString()).toBe('{"type":"CUSTOMIZED"}')
    expect(decodeTopicConfig(apache('body/topic-config'))).toEqual(normalizeTopicConfig({ topicName: 'T' }))
  })
})

describe('bodies of other clients', () => {
  test('C++: enums by ordinal, versions as text, empty lists left out', () => {
    const heartbeat = decodeHeartbeat(
      json(
        '{"clientID":"c","consumerDataSet":[{"groupName":"g","consumeType":1,"messageModel":0,"consumeFromWhere":4,' +
          '"subscriptionDataSet":[{"topic":"T","subString":"a||b","subVersion":"1700000000123","tagsSet":["a","b"],"codeSet":["97","98"]}]}]}',
      ),
    )
    expect(heartbeat.producerDataSet).toEqual([])
    expect(heartbeat.consumerDataSet[0]).toMatchObject({
      consumeType: 'CONSUME_PASSIVELY',
      messageModel: 'BROADCASTING',
      consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
      unitMode: false,
    })
    expect(heartbeat.consumerDataSet[0]?.subscriptionDataSet[0]).toMatchObject({ subVersion: 1700000000123n, codeSet: [97, 98] })
  })

  test('Go: nanoseconds as version, codes as text and wrong for tags beyond ASCII', () => {
    const heartbeat = decodeHeartbeat(
      json(
        '{"clientID":"c","producerDataSet":null,"consumerDataSet":[{"groupName":"g","consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING",' +
          '"consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","subscriptionDataSet":[{"classFilterMode":false,"topic":"T","subString":"标签",' +
          '"tagsSet":["标签"],"codeSet":["-12345"],"subVersion":1700000000123456789,"expressionType":"TAG"}],"unitMode":false}]}',
      ),
    )
    expect(heartbeat.consumerDataSet[0]?.subscriptionDataSet[0]).toMatchObject({
      subVersion: 1700000000123456789n,
      codeSet: [javaStringHash('标签')],
    })
  })

  test('JavaScript: no expressionType', () => {
    const text =
      '{"clientID":"c","consumerDataSet":[{"groupName":"g","subscriptionDataSet":[{"topic":"T","subString":"*","subVersion":1}]}]}'
    expect(decodeHeartbeat(json(text)).consumerDataSet[0]?.subscriptionDataSet[0]).toEqual(buildSubscription('T', '*', 'TAG', 1n))
  })

  test('RocketMQ 4.8 called the topic’s sysFlag topicSynFlag', () => {
    const route = decodeTopicRoute(
      json('{"queueDatas":[{"brokerName":"b","readQueueNums":1,"writeQueueNums":1,"perm":6,"topicSynFlag":2}]}'),
    )
    expect(route.queueDatas[0]?.topicSysFlag).toBe(2)
    expect(route.brokerDatas).toEqual([])
  })

  test('the files in an Apache broker’s config folder are read', () => {
    const table = decodeGroupConfigTable(
      json(
        '{\n\t"dataVersion":{"counter":2,"timestamp":5},\n\t"forbiddenTable":{"g":{"T":3}},\n\t"subscriptionGroupTable":{"g":{"retryMaxTimes":3}}\n}',
      ),
    )
    expect(table.dataVersion).toEqual({ stateVersion: 0, counter: 2, timestamp: 5 })
    expect(table.forbiddenTable['g']?.['T']).toBe(3)
    expect(table.subscriptionGroupTable['g']).toEqual(normalizeGroupConfig({ groupName: 'g', retryMaxTimes: 3 }))
    const topics = decodeTopicConfigTable(json('{"dataVersion":{},"topicConfigTable":{"constructor":{"perm":4},"__proto__":{"perm":2}}}'))
    expect(Object.keys(topics.topicConfigTable)).toEqual(['constructor', '__proto__'])
    expect(topics.topicConfigTable['__proto__']?.perm).toBe(2)
    expect(topics.topicConfigTable['toString']).toBeUndefined()
  })
})

describe('subscriptions', () => {
  test.each([
    ['*', '*', []],
    ['', '*', []],
    ['  * ', '*', []],
    ['a', 'a', ['a']],
    [' a || b||a ||', ' a || b||a ||', ['a', 'b']],
  ])('%j', (expression, subString, tags) => {
    const built = buildSubscription('T', expression)
    expect(built).toMatchObject({ subString, tagsSet: tags, codeSet: tags.map(javaStringHash), expressionType: 'TAG' })
  })

  test('SQL92 is kept as it is; bars without a tag are refused', () => {
    expect(buildSubscription('T', 'a > 1 || b', 'SQL92', 9n)).toMatchObject({
      subString: 'a > 1 || b',
      tagsSet: [],
      codeSet: [],
      subVersion: 9n,
    })
    expect(() => buildSubscription('T', '||')).toThrow('names no tag')
  })
})

describe('small bodies', () => {
  test('there and back', () => {
    expect(decodeConsumerIdList(encodeConsumerIdList(['a', 'b']))).toEqual(['a', 'b'])
    expect(decodeKVTable(encodeKVTable({ table: { k: 'v' } }))).toEqual({ table: { k: 'v' } })
    expect(decodeTopicList(encodeTopicList({ topicList: ['t'] }))).toEqual({ topicList: ['t'], brokerAddr: undefined })
    expect(decodeDataVersion(encodeJson({ counter: 1n, stateVersion: '2', timestamp: 3 }))).toEqual({
      stateVersion: 2,
      timestamp: 3,
      counter: 1,
    })
  })
})

describe('bodies that cannot be', () => {
  const decoders = {
    decodeHeartbeat,
    decodeTopicRoute,
    decodeClusterInfo,
    decodeRegisterBroker,
    decodeTopicList,
    decodeKVTable,
    decodeLockBatch,
    decodeLockResult,
    decodeConsumerIdList,
    decodeTopicStats,
    decodeConsumeStats,
    decodeConsumerConnection,
    decodeTopicConfigTable,
    decodeGroupConfigTable,
    decodeDataVersion,
    decodeTopicConfig,
    decodeGroupConfig,
  }

  test.each(Object.entries(decoders))('%s refuses them as INVALID_PARAMETER, in a sentence', (_name, decode) => {
    for (const text of ['', 'null', '[]', '7', '{', 'hello', '\u0000']) {
      let error: unknown
      try {
        decode(json(text))
      } catch (e) {
        error = e
      }
      expect(error, JSON.stringify(text)).toBeInstanceOf(RocketError)
      expect(error).toMatchObject({ code: 'INVALID_PARAMETER' })
    }
  })

  test.each([
    ['{}', 'clientID is missing'],
    ['{"clientID":{}}', 'clientID is {}'],
    ['{"clientID":"c","consumerDataSet":7}', 'consumerDataSet is 7'],
    ['{"clientID":"c","consumerDataSet":[7]}', 'consumerDataSet[0] is 7'],
    [
      '{"clientID":"c","consumerDataSet":[{"groupName":"g","messageModel":"SOMETIMES"}]}',
      'messageModel is "SOMETIMES"; it must be one of BROADCASTING',
    ],
    ['{"clientID":"c","consumerDataSet":[{"groupName":"g","messageModel":9}]}', 'messageModel is 9'],
    ['{"clientID":"c","heartbeatFingerprint":"many"}', 'heartbeatFingerprint is "many"'],
    ['{"clientID":"c","consumerDataSet":[{"groupName":"g","subscriptionDataSet":[{"topic":"T","subVersion":1.5}]}]}', 'subVersion is 1.5'],
  ])('a heartbeat of %s: the field and its value are named', (text, sentence) => {
    expect(() => decodeHeartbeat(json(text))).toThrow(sentence)
  })

  test('a compressed registration that lies about its lengths, or would fill the memory', () => {
    const whole: RegisterBrokerBody = decodeRegisterBroker(apache('body/register'))
    const bytes = encodeRegisterBroker(whole, { compressed: true })
    expect(() => decodeRegisterBroker(bytes, { maxBytes: 20 })).toThrow('limit 20 bytes')
    for (let end = 1; end < bytes.length; end++) expect(() => decodeRegisterBroker(bytes.subarray(0, end))).toThrow(RocketError)
    expect(() => decodeTopicRoute(json('{"brokerDatas":[{"brokerName":"b","brokerAddrs":{"x,y":"a"}}]}'))).toThrow('broker id "x,y"')
  })
})
