import {
  GetSubscriptiongroupConfig,
  GetTopicConfig,
  ResponseCode,
  UpdateAndCreateSubscriptiongroup,
  UpdateAndCreateSubscriptiongroupList,
  UpdateAndCreateTopicList,
  decodeGroupConfig,
  decodeTopicConfig,
  encodeJson,
} from '@skylarkmq/remoting/protocol'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Scene, TestClient } from './support.ts'
import { startScene } from './support.ts'

let scene: Scene
let client: TestClient
beforeEach(async () => {
  scene = await startScene()
  client = scene.client('app')
})
afterEach(() => scene.close())

const attributesOf = async (group: string) =>
  decodeGroupConfig((await client.invoke(GetSubscriptiongroupConfig, { group })).body).attributes

const update = (attributes: Readonly<Record<string, string>> | undefined) =>
  client.invoke(UpdateAndCreateSubscriptiongroup, {}, encodeJson({ groupName: 'cg', ...(attributes === undefined ? {} : { attributes }) }))

test('a tool sets an attribute of a group, changes other settings without losing it, and removes it', async () => {
  expect(await update({ '+priority.factor': '30' })).toMatchObject({ code: 0 })
  expect(await attributesOf('cg')).toEqual({ 'priority.factor': '30' })
  expect(await update(undefined)).toMatchObject({ code: 0 })
  expect(await attributesOf('cg')).toEqual({ 'priority.factor': '30' })
  expect(await update({ '-priority.factor': '' })).toMatchObject({ code: 0 })
  expect(await attributesOf('cg')).toEqual({})
})

test.each([
  [{ '+priority.factor': '101' }, /priority.factor is "101"; it must be a whole number from 0 to 100/],
  [{ '+colour': 'red' }, /^unsupported key: colour; a group may have priority.factor/],
  [{ '-priority.factor': '' }, /^only add attribute is supported while creating group. key: priority.factor/],
  [{ '+lite.bind.topic': 'parent' }, /lite topics are not supported/],
])('a wrong attribute of a group is refused by name: %j', async (attributes, remark) => {
  const answer = await update(attributes)
  expect(answer.code).toBe(ResponseCode.SYSTEM_ERROR)
  expect(answer.remark).toMatch(remark)
  expect((await client.invoke(GetSubscriptiongroupConfig, { group: 'cg' })).code).toBe(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST)
})

test('lists of topics and groups tell attributes as changes, too; a wrong one makes none', async () => {
  const topic = { topicName: 'prices', readQueueNums: 1, writeQueueNums: 1, perm: 6 }
  const topics = (attributes: Readonly<Record<string, string>>) =>
    client.invoke(UpdateAndCreateTopicList, {}, encodeJson({ topicConfigList: [{ ...topic, attributes }] }))
  expect((await topics({ '+cleanup.policy': 'COMPACT' })).remark).toMatch(/cleanup.policy is "COMPACT"/)
  expect(await topics({ '+cleanup.policy': 'COMPACTION' })).toMatchObject({ code: 0 })
  expect(decodeTopicConfig((await client.invoke(GetTopicConfig, { topic: 'prices' })).body).attributes).toEqual({
    'cleanup.policy': 'COMPACTION',
  })
  expect([...scene.broker.store.compactedTopics]).toEqual(['prices'])
  const groupConfigList = [
    { groupName: 'g1', attributes: { '+priority.factor': '1' } },
    { groupName: 'g2', attributes: { '+x': '1' } },
  ]
  const answer = await client.invoke(UpdateAndCreateSubscriptiongroupList, {}, encodeJson({ groupConfigList }))
  expect(answer.remark).toMatch(/^unsupported key: x/)
  expect((await client.invoke(GetSubscriptiongroupConfig, { group: 'g1' })).code).toBe(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST)
})

test('mixed message types need the setting', async () => {
  await scene.restart({ enableMixedMessageType: true })
  const again = scene.client('again')
  const config = { topicName: 'any', readQueueNums: 1, writeQueueNums: 1, perm: 6, attributes: { '+message.type': 'MIXED' } }
  expect(await again.invoke(UpdateAndCreateTopicList, {}, encodeJson({ topicConfigList: [config] }))).toMatchObject({ code: 0 })
})
