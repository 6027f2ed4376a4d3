import { clientHandler } from '@skylarkmq/remoting'
import {
  GetConsumerListByGroup,
  GetConsumerRunningInfo,
  GetGroupHealth,
  PULL_FLAG,
  UnregisterClient,
  stringifyFastjson,
} from '@skylarkmq/remoting/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { GroupHealth } from '../../src/guard/group-health.ts'
import { consumer, startScene, subscription } from '../support.ts'
import type { Scene, TestClient } from '../support.ts'

let scene: Scene
beforeEach(async () => {
  scene = await startScene({ queueStalledSeconds: 30 })
})
afterEach(() => scene.close())

const health = async (client: TestClient, group = 'cg'): Promise<GroupHealth> =>
  JSON.parse(Buffer.from((await client.invoke(GetGroupHealth, { group })).body).toString()) as GroupHealth
const kinds = async (client: TestClient): Promise<string[]> => (await health(client)).findings.map(({ kind }) => kind)
const logged = (part: string) => scene.world.lines.filter((line) => line.sentence.includes(part))

describe('members of one group that subscribe differently', () => {
  test('are named in the log once and in the group’s health, until they agree', async () => {
    const [a, b] = [scene.client('a'), scene.client('b')]
    await a.heartbeat('client-a', [consumer('cg', subscription('orders', 'TagA'))])
    await b.heartbeat('client-b', [consumer('cg', subscription('orders', 'TagB'))])
    for (let i = 0; i < 3; i++) await b.heartbeat('client-b', [consumer('cg', subscription('orders', 'TagB', BigInt(i + 2)))])
    const { findings, members } = await health(a)
    expect(members.map(({ clientId, subscriptions }) => [clientId, subscriptions])).toEqual([
      ['client-a', { orders: 'TagA' }],
      ['client-b', { orders: 'TagB' }],
    ])
    expect(findings).toMatchObject([{ kind: 'subscriptions-differ', group: 'cg', clientId: 'client-b' }])
    expect(findings[0]?.sentence).toMatch(/client-a at .* against client-b at .*: orders: TagA against TagB; .*give all members the same/)
    expect(logged('subscribe differently')).toHaveLength(1)
    await b.heartbeat('client-b', [consumer('cg', subscription('orders', 'TagA', 9n))])
    expect(await kinds(a)).toEqual([])
    expect(logged('over: ')).toHaveLength(1)
  })

  test('the order of tags makes no difference; a topic more does; who leaves takes the trouble along', async () => {
    const [a, b] = [scene.client('a'), scene.client('b')]
    await a.heartbeat('client-a', [consumer('cg', subscription('orders', 'A||B'))])
    await b.heartbeat('client-b', [consumer('cg', subscription('orders', 'B || A'))])
    expect(await kinds(a)).toEqual([])
    await b.heartbeat('client-b', [consumer('cg', subscription('orders', 'B || A'), subscription('more'))])
    expect((await health(a)).findings[0]?.sentence).toContain('more: nothing against *')
    await b.invoke(UnregisterClient, { clientID: 'client-b', consumerGroup: 'cg' })
    expect(await kinds(a)).toEqual([])
  })

  test('a client that comes back over another connection with something else has not fallen out with itself', async () => {
    const [old, now] = [scene.client('a'), scene.client('b')]
    await old.heartbeat('client-a', [consumer('cg', subscription('orders', 'TagA'))])
    await now.heartbeat('client-a', [consumer('cg', subscription('orders', 'TagB', 2n))])
    expect(await kinds(now)).toEqual([])
  })

  test('with subscriptionConflict=reject the later one is not let in, and told why', async () => {
    await scene.restart({ subscriptionConflict: 'reject' })
    const [a, b] = [scene.client('a2'), scene.client('b2')]
    expect((await a.heartbeat('client-a', [consumer('cg', subscription('orders', 'TagA'))])).code).toBe(0)
    const refused = await b.heartbeat('client-b', [consumer('cg', subscription('orders', 'TagB'))])
    expect(refused).toMatchObject({
      code: 25,
      remark: expect.stringContaining("the consumer's subscription not latest: client-b subscribes"),
    })
    expect(refused.remark).toContain('orders: TagB against TagA')
    const list = await a.invoke(GetConsumerListByGroup, { consumerGroup: 'cg' })
    expect(Buffer.from(list.body).toString()).toContain('["client-a"]')
    // A member may change its mind while it is alone.
    expect((await a.heartbeat('client-a', [consumer('cg', subscription('orders', 'TagC', 2n))])).code).toBe(0)
  })
})

describe('a queue that is owned and not pulled', () => {
  /** A member that says that it owns queues of `orders`, and how many messages it sits on. */
  const owner = (name: string, queueIds: readonly number[], cachedMsgCount = 0) =>
    scene.client(name, [
      clientHandler(GetConsumerRunningInfo, () => ({
        code: 0,
        body: Buffer.from(
          stringifyFastjson({
            mqTable: new Map(queueIds.map((queueId) => [{ topic: 'orders', brokerName: 'broker-a', queueId }, { cachedMsgCount }])),
          }),
        ),
      })),
    ])
  const beat = async (client: TestClient, clientId: string, ms: number) => {
    for (let passed = 0; passed < ms; passed += 10_000) {
      await client.heartbeat(clientId, [consumer('cg', subscription('orders'))])
      await scene.world.run(10_000)
    }
  }
  const pull = (client: TestClient, queueId: number, queueOffset: number) =>
    client.askPull('orders', { queueId, queueOffset, sysFlag: PULL_FLAG.SUSPEND })

  test('is reported once, with the client that owns it, and is over when it pulls again', async () => {
    const client = owner('stuck', [0])
    await client.heartbeat('stuck@1', [consumer('cg', subscription('orders'))])
    await client.send('orders', 'm0')
    await scene.world.until(pull(client, 0, 0))
    await client.send('orders', 'm1')
    await beat(client, 'stuck@1', 70_000)
    const { findings } = await health(client)
    expect(findings).toMatchObject([{ kind: 'queue-not-pulled', topic: 'orders', queueId: 0, clientId: 'stuck@1' }])
    expect(findings[0]?.sentence).toMatch(
      /queue 0 of topic orders has 2 messages for group cg; its owner stuck@1 at .* has not pulled it for/,
    )
    expect(logged('has not pulled it')).toHaveLength(1)
    await scene.world.until(pull(client, 0, 1))
    await beat(client, 'stuck@1', 20_000)
    expect(await kinds(client)).toEqual([])
  })

  test('a client whose handler does not finish is told apart', async () => {
    const client = owner('busy', [0], 1000)
    await client.heartbeat('busy@1', [consumer('cg', subscription('orders'))])
    await client.send('orders', 'm0')
    await beat(client, 'busy@1', 60_000)
    expect((await health(client)).findings[0]?.sentence).toContain('it holds 1000 messages that its handler has not finished')
  })

  test('nobody owns it though all members have answered', async () => {
    const client = owner('picky', [1])
    await client.heartbeat('picky@1', [consumer('cg', subscription('orders'))])
    await client.send('orders', 'm0')
    await beat(client, 'picky@1', 60_000)
    expect((await health(client)).findings).toMatchObject([{ kind: 'queue-unowned', queueId: 0 }])
  })

  test('of a client that answers no questions, the last puller counts', async () => {
    const client = scene.client('mute')
    await client.heartbeat('mute@1', [consumer('cg', subscription('orders'))])
    await client.send('orders', 'm0')
    await scene.world.until(pull(client, 0, 0))
    await beat(client, 'mute@1', 80_000)
    expect((await health(client)).findings).toMatchObject([{ kind: 'queue-not-pulled', clientId: 'mute@1' }])
  })

  test('a pull that waits, and a queue without messages, are no trouble', async () => {
    const client = owner('fine', [0, 1])
    await client.heartbeat('fine@1', [consumer('cg', subscription('orders'))])
    await client.send('orders', 'm0')
    for (let i = 0; i < 6; i++) {
      const held = pull(client, 0, 1)
      await client.heartbeat('fine@1', [consumer('cg', subscription('orders'))])
      await scene.world.until(held)
    }
    expect(await kinds(client)).toEqual([])
  })
})
