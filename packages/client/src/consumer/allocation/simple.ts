import type { MessageQueue } from '@skylarkmq/remoting/protocol'
import type { AllocationInput, AllocationStrategy } from './types.ts'

/** The place of this client in the sorted list, or -1 when there is nothing to share or the broker does not list it (yet). */
export const ownIndex = ({ queues, clientIds, clientId }: AllocationInput): number =>
  queues.length === 0 ? -1 : clientIds.indexOf(clientId)

/** Consecutive runs of queues, sizes differing by one at most: the default of every client (RocketMQ `AllocateMessageQueueAveragely`). */
export const averagely: AllocationStrategy = {
  name: 'AVG',
  allocate: (input) => {
    const index = ownIndex(input)
    if (index < 0) return []
    const { queues, clientIds } = input
    const rest = queues.length % clientIds.length
    const share = Math.floor(queues.length / clientIds.length)
    const start = index * share + Math.min(index, rest)
    return queues.slice(start, start + share + (index < rest ? 1 : 0))
  },
}

/** Dealt out like cards (RocketMQ `AllocateMessageQueueAveragelyByCircle`). */
export const averagelyByCircle: AllocationStrategy = {
  name: 'AVG_BY_CIRCLE',
  allocate: (input) => {
    const index = ownIndex(input)
    if (index < 0) return []
    return input.queues.filter((_, i) => i % input.clientIds.length === index)
  },
}

/** A fixed list, whatever the route and the group say (RocketMQ `AllocateMessageQueueByConfig`). */
export const byConfig = (queues: readonly MessageQueue[]): AllocationStrategy => ({ name: 'CONFIG', allocate: () => [...queues] })
