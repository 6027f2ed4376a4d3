import { PROPERTY, PULL_FLAG, UpdateConsumerOffset, offsetMessageId, QueryConsumerOffset } from '@skylarkmq/remoting/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { messagesIn, startScene, textOf } from './support.ts'
import type { Scene } from './support.ts'

let scene: Scene
beforeEach(async () => {
  scene = await startScene()
})
afterEach(() => scene.close())

describe('a message is sent and pulled', () => {
  test('the first send creates the topic; the message comes back as it was, with what the broker adds', async () => {
    const client = scene.client('client')
    const sent = await client.send('orders', 'hello', { queueId: 1 }, { TAGS: 'a', mine: 'yes' })
    expect(sent.code).toBe(0)
    expect(sent.header()).toMatchObject({ queueId: 1, queueOffset: 0 })
    expect(sent.ext).toMatchObject({ MSG_REGION: 'DefaultRegion', TRACE_ON: 'true' })

    const pulled = await client.pull('orders', { queueId: 1 })
    expect(pulled.code).toBe(0)
    expect(pulled.header()).toMatchObject({ nextBeginOffset: 1, minOffset: 0, maxOffset: 1, suggestWhichBrokerId: 0 })
    const [message] = messagesIn(pulled)
    expect(message).toMatchObject({ topic: 'orders', queueId: 1, queueOffset: 0, storePort: 10911 })
    expect(textOf(message!)).toBe('hello')
    expect(message!.bornHost).toBe(scene.world.node('client').host)
    expect(Object.fromEntries(message!.properties)).toMatchObject({ TAGS: 'a', mine: 'yes', CLUSTER: 'DefaultCluster', TRACE_ON: 'true' })
    expect(sent.header().transactionId).toBe(message!.properties.get(PROPERTY.UNIQ_KEY))
    expect(sent.header().msgId).toBe(offsetMessageId(message!.storeHostBytes, message!.physicalOffset))
  })

  test('a pull at the end waits, and gets the message that comes', async () => {
    const client = scene.client('client')
    await client.send('orders', 'one')
    let answered = false
    const pull = client.askPull('orders', { queueOffset: 1, sysFlag: PULL_FLAG.SUBSCRIPTION | PULL_FLAG.SUSPEND })
    void pull.then(() => {
      answered = true
    })
    await scene.world.run(5000)
    expect(answered).toBe(false)
    await scene.client('other').send('orders', 'two')
    const answer = await scene.world.until(pull)
    expect(messagesIn(answer).map(textOf)).toEqual(['two'])
  })
})

void UpdateConsumerOffset
void QueryConsumerOffset
