/**
 * Apache's own mqadmin, every sub-command that needs no cluster of several brokers, over our cluster and over Apache's: a person who
 * operates one must not see which it is. What this machine lacks is skipped by name.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import { apacheCluster, brokerAddress, ourCluster } from './src/clusters.ts'
import type { Cluster } from './src/clusters.ts'
import { adminMissing, comparable, keysOf, runAll, steps, withoutAdvice } from './src/mqadmin.ts'

const missing = adminMissing()
const CONF = { traceTopicEnable: 'true', enablePropertyFilter: 'true' }

/** Where ours is meant to be another, and what it says instead. */
const DIFFERS: Readonly<Record<string, RegExp>> = {
  // A misspelt key that is taken in silence helps nobody.
  'updateBrokerConfig.unknown': /CODE: 29 {2}DESC: the configuration key noSuchKey is not known/,
  // What was deleted stays deleted; Apache's broker makes the group again when somebody looks at it.
  'getConsumerConfig.deleted': /^\s*\(exit 0\)$/,
  // The subscription takes every message: Apache's broker says that it takes none.
  'queryCq.group': /"subString":"\*"[^]*eval=true/,
  // Which topics have traffic in the moment of the question.
  'statsAll.active': /MA_Normal/,
  // The threads of two clients are never the same.
  'consumerStatus.jstack': /TID: \d+ STATE: \w+/,
}

const SETTINGS = [
  ...['brokerClusterName', 'brokerName', 'brokerId', 'brokerIP1', 'listenPort', 'namesrvAddr', 'storePathRootDir', 'storePathCommitLog'],
  ...['flushDiskType', 'fileReservedTime', 'deleteWhen', 'maxMessageSize', 'messageDelayLevel', 'brokerPermission'],
  ...['autoCreateTopicEnable', 'defaultTopicQueueNums', 'autoCreateSubscriptionGroup', 'enablePropertyFilter', 'traceTopicEnable'],
  ...['transactionTimeOut', 'transactionCheckMax', 'transactionCheckInterval', 'mappedFileSizeCommitLog'],
]

/** Of the settings those that operators read; not all of Apache's mean something here. */
const KEYS: Readonly<Record<string, readonly string[] | 'all'>> = {
  brokerStatus: 'all',
  'brokerStatus.cluster': 'all',
  getBrokerConfig: SETTINGS,
  'getBrokerConfig.cluster': SETTINGS,
  'getBrokerConfig.changed': SETTINGS,
  getNamesrvConfig: ['listenPort', 'kvConfigPath', 'configStorePath', 'orderMessageEnable', 'returnOrderTopicConfigToBroker'],
}

async function outputs(start: () => Promise<Cluster>): Promise<ReadonlyMap<string, string>> {
  const cluster = await start()
  try {
    return await runAll({ ...cluster, broker: await brokerAddress(cluster.namesrv) })
  } finally {
    await cluster.stop()
  }
}

describe.skipIf(missing !== undefined)(`mqadmin ${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let ours: ReadonlyMap<string, string>
  let apaches: ReadonlyMap<string, string>
  beforeAll(async () => {
    ;[ours, apaches] = await Promise.all([outputs(() => ourCluster(CONF)), outputs(() => apacheCluster('5.5.0', CONF))])
  }, 400_000)

  test.each(steps().map((step) => [step.name, step] as const))('%s', (name, step) => {
    const [mine, theirs] = [ours.get(name) ?? '', apaches.get(name) ?? '']
    const other = DIFFERS[name]
    const keys = KEYS[name]
    if (step.kind === 'later') expect(mine).toMatch(/CODE: 3 {2}DESC: {2}request type \d+ not supported: \w+ belongs to [^\n]+/)
    else if (other !== undefined) expect(mine).toMatch(other)
    else if (keys !== undefined)
      expect(keysOf(mine)).toEqual(expect.arrayContaining(keysOf(theirs).filter((key) => keys === 'all' || keys.includes(key))))
    else expect(withoutAdvice(comparable(step, mine), comparable(step, theirs))).toEqual(comparable(step, theirs))
  })
})
