import type { MessageQueue } from '@skylarkmq/remoting/protocol'
import type { Random } from '@skylarkmq/runtime'
import type { BrokerLatency } from './broker-latency.ts'

/** FNV-1a over UTF-16 units, then mixed: stable across versions, for `orderKey`. */
export function hashKey(key: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < key.length; i++) {
    hash ^= key.charCodeAt(i)
    hash = Math.imul(hash, 0x01000193)
  }
  hash ^= hash >>> 16
  hash = Math.imul(hash, 0x85ebca6b)
  hash ^= hash >>> 13
  return hash >>> 0
}

export const queueForKey = (queues: readonly MessageQueue[], key: string): MessageQueue =>
  queues[hashKey(key) % queues.length] as MessageQueue

const TOPICS_REMEMBERED = 10_000

/** Round robin over a topic's queues that passes over slow brokers and the one of the previous try (RocketMQ 5.3 `MQFaultStrategy`). */
export class QueueSelector {
  readonly #random: Random
  readonly #latency: BrokerLatency | undefined
  readonly #turns = new Map<string, number>()

  constructor(random: Random, latency: BrokerLatency | undefined) {
    this.#random = random
    this.#latency = latency
  }

  /** `avoid`: brokers that this message has been tried at. */
  select(topic: string, queues: readonly MessageQueue[], avoid: ReadonlySet<string> | undefined): MessageQueue {
    const turn = this.#turns.get(topic) ?? this.#random.integer(0x7fffffff)
    if (this.#turns.size > TOPICS_REMEMBERED) this.#turns.clear()
    const latency = this.#latency
    const found =
      this.#find(queues, turn, (name) => !avoid?.has(name) && (latency?.isAvailable(name) ?? true)) ??
      this.#find(queues, turn, (name) => !avoid?.has(name) && (latency?.isReachable(name) ?? true)) ??
      this.#find(queues, turn, (name) => !avoid?.has(name)) ??
      turn
    this.#turns.set(topic, (found + 1) % 0x7fffffff)
    return queues[found % queues.length] as MessageQueue
  }

  #find(queues: readonly MessageQueue[], turn: number, accepts: (brokerName: string) => boolean): number | undefined {
    for (let i = 0; i < queues.length; i++) {
      const at = turn + i
      if (accepts((queues[at % queues.length] as MessageQueue).brokerName)) return at
    }
    return undefined
  }
}
