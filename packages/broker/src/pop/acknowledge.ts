import { POP_ORDER_REVIVE_QUEUE, decodeBatchAck, parseExtraInfo, realTopicOf } from '@skylarkmq/remoting/protocol'
import type { AckMessage, ChangeMessageInvisibletime, RequestOf, ResponseOf } from '@skylarkmq/remoting/protocol'
import type { Reply, RequestContext } from '@skylarkmq/remoting'
import type { Clock } from '@skylarkmq/runtime'
import type { MessageStore } from '@skylarkmq/store'
import { SUCCESS, plain, refuse, shown, topicMissing } from '../answers.ts'
import type { Refusal } from '../answers.ts'
import { LIMITS } from '../limits.ts'
import type { TopicConfigs } from '../topics/topic-configs.ts'
import type { Named } from './apache-checkpoints.ts'
import { isRefusal } from './pop-checks.ts'
import type { PopService } from './pop-service.ts'

export interface AckDeps {
  readonly store: MessageStore
  readonly topics: TopicConfigs
  readonly clock: Clock
  readonly pop: PopService
}

type Logged = Promise<string | undefined>

/**
 * ACK_MESSAGE. Answered when it is stored: from then on the message does not come again. What is in flight no longer (acknowledged
 * before, or its time is up and it waits for another attempt) is no error: the consumer can do nothing about it (RocketMQ 5.3
 * `AckMessageProcessor`).
 */
export function ackMessage(deps: AckDeps) {
  return (header: RequestOf<typeof AckMessage>): Reply<never> | Promise<Reply<never>> => {
    const { consumerGroup: group, topic, queueId, offset } = header
    const place = checkPlace(deps, header, 0)
    if (place !== undefined) return place
    const handle = handleOf(header.extraInfo)
    if (isRefusal(handle)) return handle
    const named = { group, topic, queueId, offset, popTime: handle.popTime }
    return answerWhen(handle.reviveQueueId === POP_ORDER_REVIVE_QUEUE ? ackInOrder(deps, named) : ack(deps, named))
  }
}

/** BATCH_ACK_MESSAGE. */
export function batchAckMessage(deps: AckDeps) {
  return (_header: unknown, context: RequestContext): Reply<never> | Promise<Reply<never>> => {
    const { acks } = context.body.length === 0 ? { acks: [] } : decodeBatchAck(context.body)
    if (acks.length === 0) return refuse('NO_MESSAGE', 'the batch of acknowledgements is empty; name at least one message')
    const count = acks.reduce((sum, { distances }) => sum + distances.length, 0)
    if (count > LIMITS.batchAcks)
      return refuse('INVALID_PARAMETER', `the batch has ${count} acknowledgements; at most ${LIMITS.batchAcks} are allowed`)
    const logged: Logged[] = []
    for (const { consumerGroup: group, topic, retryFlag, queueId, startOffset, reviveQueueId, popTime, distances } of acks) {
      const realTopic = realTopicOf(topic, group, retryFlag)
      if (realTopic === undefined)
        return refuse('INVALID_PARAMETER', `the field r of an acknowledgement is ${shown(retryFlag)}; it must be 0, 1 or 2`)
      for (const distance of distances) {
        const named = { group, topic: realTopic, queueId, offset: startOffset + distance, popTime }
        const one = reviveQueueId === POP_ORDER_REVIVE_QUEUE ? ackInOrder(deps, named) : ack(deps, named)
        if (one !== undefined) logged.push(one)
      }
    }
    return answerWhen(logged.length === 0 ? undefined : Promise.all(logged).then((all) => all.find((refused) => refused !== undefined)))
  }
}

/** CHANGE_MESSAGE_INVISIBLETIME: the answer has the new handle's parts; the old handle is void. */
export function changeInvisibleTime(deps: AckDeps) {
  type ChangeReply = Reply<ResponseOf<typeof ChangeMessageInvisibletime>>
  return (header: RequestOf<typeof ChangeMessageInvisibletime>): ChangeReply | Promise<ChangeReply> => {
    const { consumerGroup: group, topic, queueId, offset, invisibleTime } = header
    const place = checkPlace(deps, header, 1)
    if (place !== undefined) return place
    const handle = handleOf(header.extraInfo)
    if (isRefusal(handle)) return handle
    if (invisibleTime < 0 || invisibleTime > LIMITS.popInvisibleMs)
      return refuse('INVALID_PARAMETER', `the invisibleTime is ${invisibleTime} ms; it must be from 0 to ${LIMITS.popInvisibleMs}`)
    const { popTime, reviveQueueId: reviveQid } = handle
    if (reviveQid === POP_ORDER_REVIVE_QUEUE) return changeInOrder(deps, { group, topic, queueId, offset, popTime }, invisibleTime)
    const entry = deps.pop.table.entry(group, topic, queueId, offset, popTime)
    if (entry === undefined) {
      return refuse(
        'NO_MESSAGE',
        `message ${offset} of queue ${queueId} of ${shown(topic)} is not in flight by this handle: it was acknowledged, its invisible time is over, or it has a newer handle`,
      )
    }
    return new Promise((resolve) => {
      const done = (refused: string | undefined): void =>
        resolve(refused === undefined ? { code: 0, header: { popTime: newPopTime, invisibleTime, reviveQid } } : notLogged(refused))
      deps.pop.table.change(entry, invisibleTime, done)
      const newPopTime = entry.popTime
    })
  }
}

function ack({ pop }: AckDeps, { group, topic, queueId, offset, popTime }: Named): Logged | undefined {
  const entry = pop.table.entry(group, topic, queueId, offset, popTime)
  // The same acknowledgement may be under way.
  if (entry === undefined) {
    pop.apache.acknowledged({ group, topic, queueId, offset, popTime })
    return pop.table.log.settled()
  }
  return new Promise((resolve) => pop.table.ack(entry, resolve))
}

/** RocketMQ 5.3 `ConsumerOrderInfoManager#commitAndNext`. */
function ackInOrder({ pop, clock }: AckDeps, { group, topic, queueId, offset, popTime }: Named): Logged | undefined {
  const queue = pop.table.state.find(group, topic, queueId)
  const freeAtBefore = queue?.order?.freeAt
  const order = queue?.order?.acked(offset, popTime)
  if (queue === undefined || order === undefined) return pop.table.log.settled()
  return new Promise((resolve) => {
    pop.table.setOrder(queue, order, resolve)
    if (!order.isBlocked(undefined, clock.now())) clock.afterTurn(() => pop.wake(topic, group, queueId))
    // The others may be back earlier than this one would have been.
    else if (order.freeAt !== freeAtBefore) planWake(pop, { group, topic, queueId, offset })
  })
}

/** The handle keeps its pop time; the invisible time is counted from there. */
function changeInOrder({ pop, clock }: AckDeps, { group, topic, queueId, offset, popTime }: Named, invisibleTime: number) {
  type ChangeReply = Reply<ResponseOf<typeof ChangeMessageInvisibletime>>
  const header = { popTime, invisibleTime: clock.now() + invisibleTime - popTime, reviveQid: POP_ORDER_REVIVE_QUEUE }
  const queue = pop.table.state.find(group, topic, queueId)
  const order = queue?.order?.visibleAt(offset, popTime, clock.now() + invisibleTime)
  if (queue === undefined || order === undefined) {
    return refuse(
      'NO_MESSAGE',
      `message ${offset} of queue ${queueId} of ${shown(topic)} is not being consumed in order by this handle: it was acknowledged or popped again`,
    )
  }
  return new Promise<ChangeReply>((resolve) => {
    pop.table.setOrder(queue, order, (refused) => resolve(refused === undefined ? { code: 0, header } : notLogged(refused)))
    planWake(pop, { group, topic, queueId, offset })
  })
}

const planWake = (pop: PopService, { group, topic, queueId, offset }: Omit<Named, 'popTime'>): void =>
  pop.planOrderWake({ consumerGroup: group, order: true }, [{ topic, queueId, startOffset: offset, offsets: [] }])

interface Place {
  readonly topic: string
  readonly queueId: number
  readonly offset: number
}

/** In Apache's order. `free`: 1 when the offset must be a message's, 0 when it may be the queue's end. */
function checkPlace({ topics, store }: AckDeps, { topic, queueId, offset }: Place, free: number): Refusal | undefined {
  const config = topics.get(topic)
  if (config === undefined) return topicMissing(topic)
  if (queueId < 0 || queueId >= config.readQueueNums) {
    return refuse(
      'MESSAGE_ILLEGAL',
      `queueId[${queueId}] is illegal, topic:[${plain(topic)}] topicConfig.readQueueNums:[${config.readQueueNums}]`,
    )
  }
  const [min, max] = [store.minOffset(topic, queueId), store.maxOffset(topic, queueId)]
  if (offset >= min && offset <= max - free) return undefined
  return refuse('NO_MESSAGE', `offset is illegal, key:${plain(topic)}@${queueId}, commit:${offset}, store:${min}~${max}`)
}

const handleOf = (extraInfo: string) =>
  parseExtraInfo(extraInfo) ??
  refuse('INVALID_PARAMETER', `the extraInfo ${shown(extraInfo)} is no handle of a popped message; send its property POP_CK`)

const notLogged = (refused: string): Refusal => refuse('SERVICE_NOT_AVAILABLE', `the broker cannot note this: ${refused}; try again later`)

const answerWhen = (logged: Logged | undefined): Reply<never> | Promise<Reply<never>> =>
  logged === undefined ? SUCCESS : logged.then((refused) => (refused === undefined ? SUCCESS : notLogged(refused)))
