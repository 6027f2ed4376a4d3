import {
  ConsumeMessageDirectly,
  GetConsumerRunningInfo,
  GetConsumerStatusFromClient,
  RocketError,
  parseOffsetMessageId,
} from '@skylarkmq/remoting/protocol'
import type { InvokeBrokerToGetConsumerStatus, RequestOf } from '@skylarkmq/remoting/protocol'
import type { Reply, ServerConnection } from '@skylarkmq/remoting'
import type { MessageStore } from '@skylarkmq/store'
import { plain, refuse } from '../answers.ts'
import type { Refusal } from '../answers.ts'
import type { ConsumerGroups } from '../groups/consumer-groups.ts'

export interface RelayDeps {
  readonly consumers: ConsumerGroups
  readonly store: MessageStore
  readonly brokerName: string
}

/** RocketMQ 5.3 `Broker2Client#callClient`. Several kinds of client never answer. */
const CLIENT_TIMEOUT_MS = 10_000

/** Asks a consumer for its state and hands the answer on, unread. */
export function getRunningInfo({ consumers }: RelayDeps) {
  return async (header: RequestOf<typeof GetConsumerRunningInfo>): Promise<Reply<never>> => {
    const connection = consumers.findClient(header.consumerGroup, header.clientId)
    if (connection === undefined) return notOnline(header.consumerGroup, header.clientId)
    return relay(header.consumerGroup, header.clientId, () =>
      connection.invoke(GetConsumerRunningInfo, header, { timeoutMs: CLIENT_TIMEOUT_MS }),
    )
  }
}

/** Has a consumer consume one message at once; the message goes with the request. */
export function consumeDirectly({ consumers, store, brokerName }: RelayDeps) {
  return async (header: RequestOf<typeof ConsumeMessageDirectly>): Promise<Reply<never>> => {
    const clientId = header.clientId || consumers.clientIds(header.consumerGroup)[0] || ''
    const connection = consumers.findClient(header.consumerGroup, clientId)
    if (connection === undefined) return notOnline(header.consumerGroup, clientId)
    const id = parseOffsetMessageId(header.msgId ?? '')
    const record = id === undefined ? undefined : store.readRecordAt(id.physicalOffset)
    if (record === undefined)
      return refuse('SYSTEM_ERROR', `no message has the id msgId=${plain(header.msgId ?? '')} here; give the offset message id`)
    const request = { ...header, clientId, brokerName, topicSysFlag: header.topicSysFlag ?? 0, groupSysFlag: header.groupSysFlag ?? 0 }
    return relay(header.consumerGroup, clientId, () =>
      connection.invoke(ConsumeMessageDirectly, request, { body: record, timeoutMs: CLIENT_TIMEOUT_MS }),
    )
  }
}

/** Asks all members of a group (or one) for their offsets; those that do not answer are left out. */
export function getConsumerStatus({ consumers }: RelayDeps) {
  return async (header: RequestOf<typeof InvokeBrokerToGetConsumerStatus>): Promise<Reply<never>> => {
    const group = consumers.get(header.group)
    if (group === undefined)
      return refuse(
        'SYSTEM_ERROR',
        `No Any Consumer online in the consumer group: [${plain(header.group)}]; start one, or look with: mqadmin consumerConnection -g NAME`,
      )
    const members = [...group.members.values()].filter((member) => !header.clientAddr || member.clientId === header.clientAddr)
    const { topic, group: name } = header
    const tables = await Promise.all(
      members.map(async (member) => [member.clientId, await offsetsOf(member.connection, topic, name)] as const),
    )
    // The tables have objects as keys: they are put together as text, unread.
    const entries = tables.filter(([, table]) => table !== undefined).map(([clientId, table]) => `${JSON.stringify(clientId)}:${table}`)
    return { code: 0, body: Buffer.from(`{"consumerTable":{${entries.join(',')}}}`) }
  }
}

async function offsetsOf(connection: ServerConnection, topic: string, group: string): Promise<string | undefined> {
  try {
    const answer = await connection.invoke(GetConsumerStatusFromClient, { topic, group }, { timeoutMs: CLIENT_TIMEOUT_MS })
    if (answer.code !== 0) return undefined
    const text = Buffer.from(answer.body.buffer, answer.body.byteOffset, answer.body.length).toString()
    return /^\{\s*"messageQueueTable"\s*:([\s\S]*)\}\s*$/.exec(text)?.[1]
  } catch {
    return undefined
  }
}

const notOnline = (group: string, clientId: string): Refusal =>
  refuse('SYSTEM_ERROR', `The Consumer <${plain(group)}> <${plain(clientId)}> not online; who is: mqadmin consumerConnection -g NAME`)

type Invocation = ReturnType<ServerConnection['invoke']>

async function relay(group: string, clientId: string, ask: () => Invocation): Promise<Reply<never>> {
  try {
    const answer = await ask()
    return { code: answer.code, remark: answer.remark, body: answer.body }
  } catch (error) {
    if (!(error instanceof RocketError)) throw error
    const isTimeout = error.code === 'TIMEOUT'
    return refuse(
      isTimeout ? 'CONSUME_MSG_TIMEOUT' : 'SYSTEM_ERROR',
      `consumer <${plain(group)}> <${plain(clientId)}> did not answer: ${error.message}`,
    )
  }
}
