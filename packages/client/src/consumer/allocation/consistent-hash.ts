import { createHash } from 'node:crypto'
import type { MessageQueue } from '@skylarkmq/remoting/protocol'
import { ownIndex } from './simple.ts'
import type { AllocationStrategy } from './types.ts'

/** RocketMQ `ConsistentHashRouter.MD5Hash`: the first four bytes of the digest, big-endian, unsigned. */
const ringPoint = (key: string): number => createHash('md5').update(key, 'utf8').digest().readUInt32BE(0)

/** Java's `MessageQueue#toString`, which is the key of a queue on the ring. */
export const javaQueueText = (queue: MessageQueue): string =>
  `MessageQueue [topic=${queue.topic}, brokerName=${queue.brokerName}, queueId=${queue.queueId}]`

interface RingEntry {
  readonly point: number
  readonly clientId: string
}

function ring(clientIds: readonly string[], virtualNodes: number): RingEntry[] {
  const points = new Map<number, string>()
  const replicas = new Map<string, number>()
  for (const clientId of clientIds) {
    // A client id listed twice (two connections) adds further points, as in Java.
    const first = replicas.get(clientId) ?? 0
    for (let v = first; v < first + virtualNodes; v++) points.set(ringPoint(`${clientId}-${v}`), clientId)
    replicas.set(clientId, first + virtualNodes)
  }
  return [...points].map(([point, clientId]) => ({ point, clientId })).sort((a, b) => a.point - b.point)
}

/** The first entry at or after the point; past the end, the first of all. */
function ownerOf(entries: readonly RingEntry[], point: number): string | undefined {
  let low = 0
  let high = entries.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((entries[middle] as RingEntry).point < point) low = middle + 1
    else high = middle
  }
  return (entries[low] ?? entries[0])?.clientId
}

/**
 * Few queues move when members come and go (RocketMQ `AllocateMessageQueueConsistentHash`). Go's client has another ring: do not mix
 * Go members into a group that uses it.
 */
export const consistentHash = (virtualNodes = 10): AllocationStrategy => ({
  name: 'CONSISTENT_HASH',
  allocate: (input) => {
    if (ownIndex(input) < 0) return []
    const entries = ring(input.clientIds, virtualNodes)
    return input.queues.filter((queue) => ownerOf(entries, ringPoint(javaQueueText(queue))) === input.clientId)
  },
})
