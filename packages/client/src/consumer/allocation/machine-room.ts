import type { MessageQueue } from '@skylarkmq/remoting/protocol'
import { averagely, ownIndex } from './simple.ts'
import type { AllocationStrategy } from './types.ts'

/** `ROOM@NAME` → ROOM; undefined for any other shape (Java's `split("@")` with two parts). */
function roomOfBroker(brokerName: string): string | undefined {
  const parts = brokerName.split('@')
  while (parts.length > 0 && parts.at(-1) === '') parts.pop()
  return parts.length === 2 ? parts[0] : undefined
}

/** Only queues of brokers named `ROOM@NAME` with a listed room (RocketMQ `AllocateMessageQueueByMachineRoom`). */
export const machineRoom = (rooms: readonly string[]): AllocationStrategy => ({
  name: 'MACHINE_ROOM',
  allocate: (input) => {
    const index = ownIndex(input)
    if (index < 0) return []
    const queues = input.queues.filter((queue) => rooms.includes(roomOfBroker(queue.brokerName) ?? '\0'))
    const count = input.clientIds.length
    const share = Math.floor(queues.length / count)
    const own = queues.slice(share * index, share * (index + 1))
    const extra = index < queues.length % count ? queues[index + share * count] : undefined
    return extra ? [...own, extra] : own
  },
})

/** Says in which room a broker and a consumer stand. */
export interface MachineRoomResolver {
  readonly ofBroker: (queue: MessageQueue) => string
  readonly ofConsumer: (clientId: string) => string
}

function groupBy<T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const group = groups.get(key(item))
    if (group) group.push(item)
    else groups.set(key(item), [item])
  }
  return groups
}

/** Each room's queues for that room's consumers; rooms without a consumer are shared by all (RocketMQ `AllocateMachineRoomNearby`). */
export const machineRoomNearby = (resolver: MachineRoomResolver, inner: AllocationStrategy = averagely): AllocationStrategy => ({
  name: `MACHINE_ROOM_NEARBY-${inner.name}`,
  allocate: (input) => {
    if (ownIndex(input) < 0) return []
    const queuesByRoom = groupBy(input.queues, resolver.ofBroker)
    const clientsByRoom = groupBy(input.clientIds, resolver.ofConsumer)
    const ownRoom = resolver.ofConsumer(input.clientId)
    const result: MessageQueue[] = []
    const near = queuesByRoom.get(ownRoom)
    if (near) result.push(...inner.allocate({ ...input, queues: near, clientIds: clientsByRoom.get(ownRoom) ?? [] }))
    for (const room of [...queuesByRoom.keys()].sort()) {
      if (!clientsByRoom.has(room)) result.push(...inner.allocate({ ...input, queues: queuesByRoom.get(room) ?? [] }))
    }
    return result
  },
})
