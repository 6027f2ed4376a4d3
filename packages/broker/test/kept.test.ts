import { DeleteTopicInBroker, UpdateAndCreateSubscriptiongroup, UpdateAndCreateTopic } from '@skylarkmq/remoting/protocol'
import { memoryMetadata } from '@skylarkmq/store'
import { expect, test } from 'vitest'
import { startScene } from './support.ts'

test('a topic or group that an operator made or deleted is on the disk when the answer comes: no kill, no loss of power the moment after changes it', async () => {
  const metadata = memoryMetadata()
  let onDisk: readonly string[] = []
  const keys = (): string[] => (['topics', 'groups'] as const).flatMap((table) => [...metadata.entries(table)].map(([key]) => key))
  const scene = await startScene({}, () => ({ metadata: { ...metadata, sync: async () => void (onDisk = keys()) } }))
  const client = scene.client('operator')
  await client.invoke(UpdateAndCreateTopic, { topic: 'orders', readQueueNums: 2, writeQueueNums: 2, perm: 6 })
  expect(onDisk).toContain('orders')
  const group = { groupName: 'ledger', consumeEnable: true, retryQueueNums: 1, retryMaxTimes: 3 }
  await client.invoke(UpdateAndCreateSubscriptiongroup, {}, Buffer.from(JSON.stringify(group)))
  expect(onDisk).toContain('ledger')
  await client.invoke(DeleteTopicInBroker, { topic: 'orders' })
  expect(onDisk).not.toContain('orders')
  await scene.close()
})
