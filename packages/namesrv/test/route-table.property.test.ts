/**
 * Random lives of a cluster against a model that keeps plain rows and searches them. Two promises: the table answers as the model does,
 * and whoever remembers an answer until the table announces a change of that topic never holds a wrong one.
 */
import fc from 'fast-check'
import { it } from 'vitest'
import { expect } from 'vitest'
import type { QueueData, TopicRouteData } from '@skylarkmq/remoting/protocol'
import { RouteTable } from '../src/route-table.ts'
import type { BrokerRegistration } from '../src/route-table.ts'

const TOPICS = ['t0', 't1', 't2', 't3']

interface Row {
  topic: string
  queue: QueueData
}
interface Process {
  broker: string
  id: number
  address: string
}
interface Live {
  address: string
  counter: number
  stateVersion: number
  socket: string
  seen: number
}

class Model {
  rows: Row[] = []
  processes: Process[] = []
  live: Live[] = []

  register(
    broker: string,
    id: number,
    address: string,
    stateVersion: number,
    counter: number,
    topics: string[],
    queues: number,
    socket: string,
    now: number,
  ) {
    const set = this.processes.filter((p) => p.broker === broker && !(p.address === address && p.id !== id))
    const holder = set.find((p) => p.id === id)
    const holderLive = holder && this.live.find((l) => l.address === holder.address)
    if (holder && holder.address !== address && (holderLive?.stateVersion ?? 0) > stateVersion) {
      this.live = this.live.filter((l) => l.address !== address)
      return
    }
    if (!holder && topics.length === 1) return
    this.processes = [...this.processes.filter((p) => p.broker !== broker), ...set.filter((p) => p.id !== id), { broker, id, address }]
    const known = this.live.find((l) => l.address === address)
    const isNew = known?.counter !== counter || known.stateVersion !== stateVersion
    if (id === 0) {
      for (const topic of topics) {
        const row = this.rows.find((r) => r.topic === topic && r.queue.brokerName === broker)
        if (holder && !isNew && row) continue
        const queue = { brokerName: broker, readQueueNums: queues, writeQueueNums: queues, perm: 6, topicSysFlag: 0 }
        if (row) row.queue = queue
        else this.rows.push({ topic, queue })
      }
    }
    this.live = [...this.live.filter((l) => l.address !== address), { address, counter, stateVersion, socket, seen: now }]
  }

  leave(broker: string, address: string) {
    this.live = this.live.filter((l) => l.address !== address)
    if (!this.processes.some((p) => p.broker === broker)) return
    this.processes = this.processes.filter((p) => p.broker !== broker || p.address !== address)
    if (!this.processes.some((p) => p.broker === broker)) this.rows = this.rows.filter((r) => r.queue.brokerName !== broker)
  }

  route(topic: string) {
    const queues = this.rows.filter((r) => r.topic === topic).map((r) => r.queue)
    if (queues.length === 0) return undefined
    const addresses = queues.map(({ brokerName }) => [brokerName, this.processes.filter((p) => p.broker === brokerName)] as const)
    return {
      queues: queues.map((q) => JSON.stringify(q)).sort(),
      addresses: addresses.map(([name, list]) => `${name} ${list.map((p) => `${p.id}=${p.address}`).sort()}`).sort(),
    }
  }
}

const shown = (route: TopicRouteData | undefined) =>
  route && {
    queues: route.queueDatas.map((q) => JSON.stringify(q)).sort(),
    addresses: route.brokerDatas
      .map(
        (b) =>
          `${b.brokerName} ${Object.entries(b.brokerAddrs)
            .map(([id, a]) => `${id}=${a}`)
            .sort()}`,
      )
      .sort(),
  }

const broker = fc.constantFrom('a', 'b', 'c')
const steps = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('register' as const),
      broker,
      id: fc.nat(2),
      host: fc.nat(2),
      stateVersion: fc.nat(1),
      counter: fc.nat(2),
      topics: fc.subarray(TOPICS, { minLength: 1 }),
      queues: fc.integer({ min: 1, max: 3 }),
    }),
  },
  fc.record({ kind: fc.constant('unregister' as const), broker, host: fc.nat(2) }),
  fc.record({ kind: fc.constant('close' as const), broker, host: fc.nat(2) }),
  fc.record({ kind: fc.constant('heartbeat' as const), broker, host: fc.nat(2) }),
  fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(90_000) }),
  fc.record({ kind: fc.constant('wipe' as const), broker, writable: fc.boolean() }),
  fc.record({ kind: fc.constant('delete' as const), topic: fc.constantFrom(...TOPICS) }),
)

it('answers as a plain model does, and announces every change', () => {
  fc.assert(
    fc.property(fc.array(steps, { maxLength: 40 }), (life) => {
      let now = 0
      const model = new Model()
      const remembered = new Map<string, string>()
      const options = { deleteTopicWithBrokerRegistration: false, supportActingMaster: false }
      const table = new RouteTable<string>(
        () => options,
        (topics) => [...topics].forEach((topic) => remembered.delete(topic)),
      )
      const encoded = (topic: string) => JSON.stringify(table.route(topic) ?? null)
      for (const step of life) {
        const address = 'host' in step ? `${step.broker}-${step.host}:1` : ''
        switch (step.kind) {
          case 'register': {
            const { id, stateVersion, counter, topics, queues } = step
            table.register(registration(step.broker, id, address, stateVersion, counter, topics, queues), address, now)
            model.register(step.broker, id, address, stateVersion, counter, topics, queues, address, now)
            break
          }
          case 'unregister':
            table.unregister({ clusterName: 'cl', brokerName: step.broker, brokerAddr: address, brokerId: 0 })
            model.leave(step.broker, address)
            break
          case 'close':
            table.channelClosed(address)
            for (const live of model.live.filter((l) => l.socket === address)) model.leave(step.broker, live.address)
            break
          case 'heartbeat':
            table.heartbeat('cl', address, now)
            for (const live of model.live) if (live.address === address) live.seen = now
            break
          case 'wait':
            now += step.ms
            table.expire(now)
            for (const live of model.live.filter((l) => l.seen + 120_000 < now)) model.leave(live.address[0] as string, live.address)
            break
          case 'wipe':
            table.setWritePermission(step.broker, step.writable)
            for (const row of model.rows)
              if (row.queue.brokerName === step.broker) row.queue = { ...row.queue, perm: step.writable ? 6 : row.queue.perm & ~2 }
            break
          case 'delete':
            table.deleteTopic(step.topic)
            model.rows = model.rows.filter((r) => r.topic !== step.topic)
        }
        for (const topic of TOPICS) {
          expect(shown(table.route(topic))).toEqual(model.route(topic))
          if (remembered.has(topic)) expect(remembered.get(topic)).toBe(encoded(topic))
          remembered.set(topic, encoded(topic))
        }
        expect([...table.brokers().keys()].sort()).toEqual([...new Set(model.processes.map((p) => p.broker))].sort())
        expect([...(table.clusters().get('cl') ?? [])].sort()).toEqual([...table.brokers().keys()].sort())
        expect([...table.liveBrokers()].map((l) => l.identity.brokerAddr).sort()).toEqual(model.live.map((l) => l.address).sort())
      }
    }),
    { numRuns: 300 },
  )
})

function registration(
  brokerName: string,
  brokerId: number,
  brokerAddr: string,
  stateVersion: number,
  counter: number,
  topics: string[],
  queues: number,
): BrokerRegistration {
  const config = (topicName: string) => ({
    topicName,
    readQueueNums: queues,
    writeQueueNums: queues,
    perm: 6,
    topicFilterType: 'SINGLE_TAG' as const,
    topicSysFlag: 0,
    order: false,
    attributes: {},
  })
  return {
    clusterName: 'cl',
    brokerName,
    brokerAddr,
    brokerId,
    dataVersion: { stateVersion, timestamp: 0, counter },
    filterServers: [],
    topics: Object.fromEntries(topics.map((topic) => [topic, config(topic)])),
  }
}
