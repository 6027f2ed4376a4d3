import type { CloneGroupOffset, RequestOf } from '@skylarkmq/remoting/protocol'
import type { Reply } from '@skylarkmq/remoting'
import { SUCCESS, groupMissing, plain, refuse, topicMissing } from '../answers.ts'
import type { ResetDeps } from '../processors/reset-offset.ts'

/**
 * CLONE_GROUP_OFFSET (RocketMQ 5.3 `AdminBrokerProcessor#cloneGroupOffset`). Apache answers success when there is nothing to copy, and
 * overwrites what the members of the group commit a moment later; here the first is refused, and members are told as by a reset.
 */
export function cloneGroupOffset(deps: ResetDeps) {
  return ({ srcGroup, destGroup, topic, offline }: RequestOf<typeof CloneGroupOffset>): Reply<never> => {
    const { topics, offsets, groupConfigs, consumers, heldPulls, journal } = deps
    if (groupConfigs.get(srcGroup) === undefined) return groupMissing(srcGroup)
    if (groupConfigs.get(destGroup) === undefined) return groupMissing(destGroup)
    if (topic && topics.get(topic) === undefined) return topicMissing(topic)
    const subscribed = consumers.get(srcGroup)?.subscriptions
    let copied = 0
    for (const name of topic ? [topic] : offsets.topicsOf(srcGroup)) {
      const config = topics.get(name)
      // What an online group does not subscribe to any more is not meant.
      if (config === undefined || (offline !== 'true' && subscribed !== undefined && subscribed.size > 0 && !subscribed.has(name))) continue
      for (let queueId = 0; queueId < Math.max(config.readQueueNums, config.writeQueueNums); queueId++) {
        const offset = offsets.get(srcGroup, name, queueId)
        if (offset === undefined) continue
        offsets.reset(destGroup, name, queueId, offset, true)
        journal.committed(destGroup, name, queueId, offset, '')
        heldPulls.wakeQueue(name, queueId)
        copied++
      }
    }
    if (copied > 0) return SUCCESS
    const where = topic ? `topic ${plain(topic)}` : 'any topic'
    return refuse('QUERY_NOT_FOUND', `group ${plain(srcGroup)} has no offset in ${where}: nothing was copied to ${plain(destGroup)}`)
  }
}
