import {
  AckMessage,
  ChangeMessageInvisibletime,
  PopMessage,
  decodeRecords,
  formatExtraInfo,
  parseExtraInfo,
  parseStartOffsets,
  retryFlagOf,
} from '@skylarkmq/remoting/protocol'
import type { PeekMessage, RequestOf, ResponseOf, StoredMessage } from '@skylarkmq/remoting/protocol'
import type { Answer } from '@skylarkmq/remoting'
import type { TestClient } from '../support.ts'

export type PopAnswer = Answer<typeof PopMessage>

export const popHeader = (more: Partial<RequestOf<typeof PopMessage>> = {}): RequestOf<typeof PopMessage> => ({
  consumerGroup: 'cg',
  topic: 'orders',
  queueId: -1,
  maxMsgNums: 32,
  invisibleTime: 10_000,
  pollTime: 0,
  initMode: 0,
  ...more,
})

export const pop = (client: TestClient, more: Partial<RequestOf<typeof PopMessage>> = {}): Promise<PopAnswer> =>
  client.invoke(PopMessage, popHeader(more))

/** A message with its handle, made as Java's client makes it. */
export interface PoppedMessage {
  readonly body: string
  readonly handle: string
  readonly offset: number
  readonly stored: StoredMessage
}

export function messagesOf(answer: PopAnswer | Answer<typeof PeekMessage>, brokerName = 'broker-a'): PoppedMessage[] {
  if (answer.code !== 0) return []
  const header: ResponseOf<typeof PopMessage> = answer.header()
  const starts = parseStartOffsets(header.startOffsetInfo)
  return decodeRecords(answer.body).map((stored) => {
    const retryFlag = retryFlagOf(stored.topic)
    const made = formatExtraInfo({
      startOffset: starts.get(`${retryFlag}@${stored.queueId}`) ?? Number.NaN,
      popTime: header.popTime,
      invisibleTimeMs: header.invisibleTime,
      reviveQueueId: header.reviveQid,
      retryFlag,
      brokerName,
      queueId: stored.queueId,
      queueOffset: stored.queueOffset,
    })
    const handle = stored.properties.get('POP_CK') ?? made
    return { body: Buffer.from(stored.body).toString(), handle, offset: stored.queueOffset, stored }
  })
}

export const bodiesOf = (answer: PopAnswer): string[] =>
  messagesOf(answer)
    .map(({ body }) => body)
    .sort()

/** The topic that a handle's message lies in. */
export function placeOf(handle: string, topic = 'orders', group = 'cg') {
  const { retryFlag, queueId } = parseExtraInfo(handle)!
  const real = retryFlag === '0' ? topic : `%RETRY%${group}${retryFlag === '1' ? '_' : '+'}${topic}`
  return { consumerGroup: group, topic: real, queueId, extraInfo: handle }
}

export const ack = (client: TestClient, { handle, offset }: PoppedMessage, topic = 'orders', group = 'cg') =>
  client.invoke(AckMessage, { ...placeOf(handle, topic, group), offset })

export const change = (client: TestClient, { handle, offset }: PoppedMessage, invisibleTime: number) =>
  client.invoke(ChangeMessageInvisibletime, { ...placeOf(handle), offset, invisibleTime })
