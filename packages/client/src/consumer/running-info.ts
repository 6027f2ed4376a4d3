import type { Reply } from '@skylarkmq/remoting'
import {
  ConsumeMessageDirectly,
  decodeRecords,
  GetConsumerRunningInfo,
  GetConsumerStatusFromClient,
  parseFastjson,
  PROTOCOL_VERSION,
  ResetConsumerClientOffset,
  ResponseCode,
  stringifyFastjson,
} from '@skylarkmq/remoting/protocol'
import { AssignedQueue } from './assigned-queue.ts'
import type { ConsumerEngine } from './consumer-engine.ts'
import type { HandlerRunner } from './handler.ts'
import { queueOffsets } from './offset-store.ts'
import { ConsumedMessage } from './received-message.ts'

const body = (value: unknown): Reply => ({ code: ResponseCode.SUCCESS, body: Buffer.from(stringifyFastjson(value)) })

/** Answers what brokers ask of a member on behalf of administrators. Returns what removes the handlers. */
export function answerBrokers(engine: ConsumerEngine, runner: HandlerRunner): () => void {
  const { core } = engine
  const { group } = engine.options
  const undo = [
    core.onNotification(ResetConsumerClientOffset, (request, context) => {
      if (request.group !== group) return undefined
      const table = (parseFastjson(Buffer.from(context.body).toString('utf8')) as { offsetTable?: unknown } | null)?.offsetTable
      const offsets = queueOffsets(table).filter(([queue]) => queue.topic === request.topic)
      core.log.info('the broker sets offsets anew', { group, topic: request.topic, queues: offsets.length })
      void engine.reset(offsets)
      return undefined
    }),
    core.onNotification(GetConsumerStatusFromClient, (request) => {
      if (request.group !== group) return undefined
      const own = engine.assignment.of(request.topic).filter(({ isPopped }) => !isPopped)
      return body({ messageQueueTable: new Map(own.map(({ queue, cache }) => [queue, cache.committableOffset ?? -1])) })
    }),
    core.onNotification(GetConsumerRunningInfo, (request) => (request.consumerGroup === group ? body(runningInfo(engine)) : undefined)),
    core.onNotification(ConsumeMessageDirectly, async (request, context) => {
      if (request.consumerGroup !== group) return undefined
      return body(await consumeDirectly(engine, runner, context.body, request.brokerName ?? ''))
    }),
  ]
  return () => {
    for (const remove of undo) remove()
  }
}

/** RocketMQ `ConsumerRunningInfo`; `droped` is its spelling. */
function runningInfo(engine: ConsumerEngine): unknown {
  const { core, options, assignment, subscriptions } = engine
  const popTable = assignment.all
    .filter(({ isPopped }) => isPopped)
    .map(({ queue, poppedMessages, isDropped, lastPullMs }) => {
      return [queue, { waitAckCount: poppedMessages, droped: isDropped, lastPopTimestamp: lastPullMs }] as const
    })
  const pulled = assignment.all.filter(({ isPopped }) => !isPopped)
  const mqTable = pulled.map((assigned) => {
    const { cache } = assigned
    const info = {
      commitOffset: cache.committableOffset ?? -1,
      cachedMsgMinOffset: cache.minOffset ?? 0,
      cachedMsgMaxOffset: cache.maxOffset ?? 0,
      cachedMsgCount: cache.count,
      cachedMsgSizeInMiB: Math.floor(cache.bytes / 1_048_576),
      transactionMsgMinOffset: 0,
      transactionMsgMaxOffset: 0,
      transactionMsgCount: 0,
      locked: engine.locks?.isValid(assigned) ?? false,
      tryUnlockTimes: 0,
      lastLockTimestamp: assigned.lastLockMs,
      droped: assigned.isDropped,
      lastPullTimestamp: assigned.lastPullMs,
      lastConsumeTimestamp: assigned.lastConsumeMs,
    }
    return [assigned.queue, info] as const
  })
  return {
    properties: {
      PROP_NAMESERVER_ADDR: core.namesrvAddresses.join(';'),
      PROP_CONSUME_TYPE: options.consumeType,
      PROP_CONSUMEORDERLY: String(options.isOrderly),
      PROP_CONSUMER_START_TIMESTAMP: String(engine.startedMs),
      PROP_CLIENT_VERSION: String(PROTOCOL_VERSION),
      PROP_THREADPOOL_CORE_SIZE: '0',
      consumerGroup: options.group,
      messageModel: options.model,
      allocateMessageQueueStrategy: options.strategy.name,
    },
    subscriptionSet: subscriptions.all,
    mqTable: new Map(mqTable),
    mqPopTable: new Map(popTable),
    statusTable: {},
    userConsumerInfo: {},
  }
}

async function consumeDirectly(engine: ConsumerEngine, runner: HandlerRunner, bytes: Uint8Array, brokerName: string): Promise<unknown> {
  const startedMs = engine.core.clock.monotonic()
  const [record] = decodeRecords(Buffer.from(bytes))
  const result = (consumeResult: string, remark?: string) => ({
    order: engine.options.isOrderly,
    autoCommit: true,
    consumeResult,
    remark,
    spentTimeMills: Math.round(engine.core.clock.monotonic() - startedMs),
  })
  if (!record) return result('CR_THROW_EXCEPTION', 'the request holds no message that can be decoded')
  const message = new ConsumedMessage(record, brokerName, engine.core.namespace)
  const assigned = new AssignedQueue({ topic: record.topic, brokerName, queueId: record.queueId }, record.queueOffset)
  assigned.cache.put([message])
  const [settlement] = await runner.run(assigned, assigned.cache.take(1))
  if (settlement?.kind !== 'retry') return result('CR_SUCCESS')
  return settlement.error === undefined ? result('CR_LATER') : result('CR_THROW_EXCEPTION', String(settlement.error))
}
