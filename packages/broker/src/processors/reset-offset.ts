import { ResetConsumerClientOffset, byQueue, encodeJson } from '@skylarkmq/remoting/protocol'
import type { InvokeBrokerToResetOffset, MessageQueue, RequestOf, TopicConfig } from '@skylarkmq/remoting/protocol'
import type { Reply } from '@skylarkmq/remoting'
import type { MessageStore } from '@skylarkmq/store'
import { groupMissing, plain, refuse, topicMissing } from '../answers.ts'
import type { Refusal } from '../answers.ts'
import type { Settings } from '../config.ts'
import type { DeliveryJournal } from '../explain/delivery-journal.ts'
import type { ConsumerGroups } from '../groups/consumer-groups.ts'
import type { GroupConfigs } from '../groups/group-configs.ts'
import type { ConsumerOffsets } from '../offsets/consumer-offsets.ts'
import type { HeldPulls } from '../pull/held-pulls.ts'
import type { TopicConfigs } from '../topics/topic-configs.ts'

export interface ResetDeps {
  readonly store: MessageStore
  readonly topics: TopicConfigs
  readonly groupConfigs: GroupConfigs
  readonly consumers: ConsumerGroups
  readonly offsets: ConsumerOffsets
  readonly heldPulls: HeldPulls
  readonly settings: Settings
  readonly journal: DeliveryJournal
  readonly brokerName: string
}

type ResetHeader = RequestOf<typeof InvokeBrokerToResetOffset>

/**
 * INVOKE_BROKER_TO_RESET_OFFSET. The new offset is kept here and told with the next pull of the queue; with useServerSideResetOffset off
 * the members of the group are told to set it themselves (RocketMQ 5.3 `AdminBrokerProcessor#resetOffsetInner`).
 */
export function resetOffset(deps: ResetDeps) {
  return (header: ResetHeader): Reply<never> => {
    const config = deps.topics.get(header.topic)
    if (config === undefined) return topicMissing(header.topic)
    if (deps.groupConfigs.get(header.group) === undefined) return groupMissing(header.group)
    const targets = targetsOf(deps, header, config)
    if ('remark' in targets) return targets
    if (deps.settings.current.useServerSideResetOffset) resetHere(deps, header, targets)
    else tellMembers(deps, header, targets)
    return { code: 0, body: encodeJson({ offsetTable: byQueue(targets) }) }
  }
}

type Targets = readonly (readonly [MessageQueue, number])[]

function targetsOf(deps: ResetDeps, header: ResetHeader, config: TopicConfig): Targets | Refusal {
  const { topic, group, queueId = -1, offset = -1 } = header
  const { store, brokerName } = deps
  if (queueId >= 0) {
    if (queueId >= config.readQueueNums) {
      return refuse(
        'INVALID_PARAMETER',
        `queueId[${queueId}] is illegal, topic:[${plain(topic)}] has the read queues 0 to ${config.readQueueNums - 1}`,
      )
    }
    if (offset >= 0) {
      const [min, max] = [store.minOffset(topic, queueId), store.maxOffset(topic, queueId)]
      if (offset < min || offset > max)
        return refuse('SYSTEM_ERROR', `Target offset ${offset} not in consume queue range [${min}-${max}]; choose one in it`)
      return [[{ topic, brokerName, queueId }, offset]]
    }
  }
  const queueIds = queueId >= 0 ? [queueId] : Array.from({ length: config.readQueueNums }, (_, id) => id)
  const targets: [MessageQueue, number][] = []
  for (const id of queueIds) {
    const found = header.timestamp < 0 ? store.maxOffset(topic, id) : store.offsetByTime(topic, id, header.timestamp, 'lower')
    const current = deps.offsets.get(group, topic, id)
    // Without force a group is only set back.
    if (header.isForce !== false || current === undefined || found <= current)
      targets.push([{ topic, brokerName, queueId: id }, Math.max(0, found)])
  }
  return targets
}

function resetHere({ offsets, heldPulls, journal }: ResetDeps, { group }: ResetHeader, targets: Targets): void {
  for (const [{ topic, queueId }, offset] of targets) {
    offsets.reset(group, topic, queueId, offset, true)
    journal.committed(group, topic, queueId, offset, '')
    heldPulls.wakeQueue(topic, queueId)
  }
}

function tellMembers({ consumers, offsets }: ResetDeps, { topic, group, timestamp }: ResetHeader, targets: Targets): void {
  const body = encodeJson({ offsetTable: byQueue(targets) })
  const members = consumers.get(group)?.members.keys()
  for (const connection of members ?? [])
    connection.notify(ResetConsumerClientOffset, { topic, group, timestamp, isForce: false, queueId: -1 }, body)
  // Nobody there to be told: the offset is set here.
  if (members === undefined) for (const [queue, offset] of targets) offsets.reset(group, queue.topic, queue.queueId, offset, false)
}
