import { route, startRemotingServer } from '@skylarkmq/remoting'
import { RegisterBroker, UnregisterBroker, decodeRegisterBroker, encodeKVTable } from '@skylarkmq/remoting/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseNamesrvAddr } from '../src/registration.ts'
import { startScene } from './support.ts'
import type { Scene } from './support.ts'

let scene: Scene
beforeEach(async () => {
  scene = await startScene()
})
afterEach(() => scene.close())

/** A NameServer that writes down what it is told. */
async function namesrv(name: string, answer: { code: number; body?: Uint8Array } = { code: 0 }) {
  const node = scene.world.node(name)
  const told: string[] = []
  const lane = { name: 'all', maxInFlight: 100 }
  await scene.world.until(
    startRemotingServer(node, {
      name,
      port: 9876,
      routes: [
        route(RegisterBroker, lane, (header, { body }) => {
          const topics = Object.keys(decodeRegisterBroker(body).topicConfigSerializeWrapper.topicConfigTable)
          told.push(topics.length > 3 ? `all of ${header.brokerName}` : topics.join(','))
          return answer
        }),
        route(UnregisterBroker, lane, (header) => {
          told.push(`${header.brokerName} leaves`)
          return { code: 0 }
        }),
      ],
    }),
  )
  return { told, address: `${node.host}:9876`, news: () => told.splice(0) }
}

describe('NameServers', () => {
  test('are told all at the start and each half minute, a new topic at once, and that the broker leaves', async () => {
    const one = await namesrv('ns-1')
    const two = await namesrv('ns-2')
    await scene.restart({ namesrvAddr: `${one.address};http://${two.address};` })
    expect([one.news(), two.news()]).toEqual([['all of broker-a'], ['all of broker-a']])
    await scene.client('client').send('orders', 'x')
    await scene.world.run(100)
    expect([one.news(), two.news()]).toEqual([['orders'], ['orders']])
    await scene.world.run(30_000)
    expect(one.news()).toEqual(['all of broker-a'])
    await scene.world.until(scene.broker.close())
    expect([one.news(), two.news().at(-1)]).toEqual([['broker-a leaves'], 'broker-a leaves'])
  })

  test('that cannot be reached keep the others waiting for nothing, and are told soon after they are back', async () => {
    const one = await namesrv('ns-1')
    const away = await namesrv('ns-away')
    await scene.restart({ namesrvAddr: `${away.address};${one.address}` })
    one.news()
    away.news()
    scene.world.partition(['broker'], ['ns-away'])
    await scene.client('client').send('first', 'x')
    await scene.world.run(200)
    await scene.client('client').send('second', 'x')
    await scene.world.run(200)
    expect(one.news()).toEqual(['first', 'second'])
    scene.world.heal()
    await scene.world.run(60_000)
    expect(away.news()).toContain('all of broker-a')
  })

  test('that refuse a part, because they were restarted, are told all', async () => {
    const refusal = { code: 0 }
    const one = await namesrv('ns-1', refusal)
    await scene.restart({ namesrvAddr: one.address })
    one.news()
    refusal.code = 1
    await scene.client('client').send('orders', 'x')
    await scene.world.run(100)
    expect(one.news()).toEqual(['orders', 'all of broker-a'])
    refusal.code = 0
    await scene.world.run(3_100)
    expect(one.news()).toEqual(['all of broker-a'])
  })

  test('that were restarted are told again within seconds, not at the next half minute', async () => {
    const one = await namesrv('ns-1')
    await scene.restart({ namesrvAddr: one.address })
    scene.world.kill('ns-1')
    const again = await namesrv('ns-1')
    await scene.world.run(8_000)
    expect(again.news()).toEqual(['all of broker-a'])
  })

  test('say which topics are ordered', async () => {
    const one = await namesrv('ns-1', { code: 0, body: encodeKVTable({ table: { orders: 'broker-a:4' } }) })
    await scene.restart({ namesrvAddr: one.address })
    await scene.client('client').send('orders', 'x')
    await scene.world.run(31_000)
    expect([...scene.metadata.entries('topics')].find(([topic]) => topic === 'orders')?.[1]).toContain('"order":true')
  })

  test('are written with semicolons between, as everywhere', () => {
    expect(parseNamesrvAddr(' a:1; http://b:2 ;;[::1]:3')).toEqual(['a:1', 'b:2', '[::1]:3'])
    expect(parseNamesrvAddr('')).toEqual([])
  })
})
