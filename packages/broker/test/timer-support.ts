import { RecallMessage, decodeRecords } from '@skylarkmq/remoting/protocol'
import type { StoredMessage } from '@skylarkmq/remoting/protocol'
import { memoryTimerIndex } from '@skylarkmq/store'
import type { TimerIndex } from '@skylarkmq/store'
import type { BrokerConfig, BrokerOptions } from '../src/index.ts'
import { startScene, textOf } from './support.ts'
import type { Scene, TestClient } from './support.ts'

export const TIMER_TOPIC = 'rmq_sys_wheel_timer'

export interface TimerScene {
  readonly scene: Scene
  /** Whoever speaks to the broker of now. */
  client(): TestClient
  now(): number
  /** Power off or kill -9, and a new start. Without the list, the new life has to derive it from the log. */
  die(how: 'kill' | 'crash', list?: 'keep' | 'lose'): Promise<void>
  /** Everything in a topic, in the order of queues and offsets. */
  stored(topic?: string): Promise<StoredMessage[]>
  bodies(topic?: string): Promise<string[]>
}

/** A broker whose list of scheduled messages outlives it, as a file would. */
export async function timerScene(config: Partial<BrokerConfig> = {}, kept: Partial<BrokerOptions> = {}): Promise<TimerScene> {
  let timerIndex: TimerIndex = memoryTimerIndex()
  const scene = await startScene(config, () => ({ timerIndex, ...kept }))
  let life = 0
  let client: TestClient | undefined
  let clientOf: unknown
  const timers: TimerScene = {
    scene,
    client() {
      if (client === undefined || clientOf !== scene.broker) client = scene.client(`client-${life++}`)
      clientOf = scene.broker
      return client
    },
    now: () => scene.world.node('broker').clock.now(),
    async die(how, list = 'keep') {
      scene.world[how]('broker')
      if (list === 'lose') timerIndex = memoryTimerIndex()
      await scene.revive()
    },
    async stored(topic = 'orders') {
      const { store } = scene.broker
      const found: StoredMessage[] = []
      for (const queueId of store.queues().get(topic) ?? []) {
        for (let offset = store.minOffset(topic, queueId); offset < store.maxOffset(topic, queueId); ) {
          const result = await scene.world.until(
            Promise.resolve(store.read({ topic, queueId, offset, maxMessages: 1000, maxBytes: 8_000_000 })),
          )
          found.push(...decodeRecords(result.body))
          offset = result.nextOffset
        }
      }
      return found
    },
    bodies: async (topic) => (await timers.stored(topic)).map(textOf),
  }
  return timers
}

export const recall = (client: TestClient, topic: string, recallHandle: string | undefined) =>
  client.invoke(RecallMessage, { producerGroup: 'pg', topic, recallHandle: recallHandle ?? '' })
