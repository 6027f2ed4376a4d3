import {
  HALF_TOPIC,
  PROPERTY,
  SYS_FLAG,
  TRANS_CHECK_MAX_TIME_TOPIC,
  checkTopicName,
  decodeRecord,
  encodeRecord,
  formatProperties,
  hostToBytes,
} from '@skylarkmq/remoting/protocol'
import type { StoredMessage } from '@skylarkmq/remoting/protocol'
import type { MessageStore, MessageToStore } from '@skylarkmq/store'
import { hostFlags } from '../processors/send-message.ts'

/** Half messages lie in one queue. */
export const HALF_QUEUE = 0
const HOST_FLAGS = SYS_FLAG.BORN_HOST_V6 | SYS_FLAG.STORE_HOST_V6

/** A message that waits for its transaction to end; where it goes is in its properties. */
export interface HalfMessage {
  readonly stored: StoredMessage
  /** Place in the half queue: what a transaction is known by. */
  readonly offset: number
  readonly physicalOffset: number
  readonly group: string
  readonly realTopic: string
  readonly realQueueId: number
  /** UNIQ_KEY. */
  readonly transactionId: string
  /** For so long after the send the broker does not ask; undefined: as the broker is set. */
  readonly immunityMs: number | undefined
}

/** Undefined for a record that is no half message, or does not say where it goes. */
export function halfMessageOf(stored: StoredMessage | undefined): HalfMessage | undefined {
  if (stored === undefined || stored.topic !== HALF_TOPIC || stored.queueId !== HALF_QUEUE) return undefined
  const { properties } = stored
  const realTopic = properties.get(PROPERTY.REAL_TOPIC) ?? ''
  const realQueueId = Number(properties.get(PROPERTY.REAL_QID) ?? Number.NaN)
  if (checkTopicName(realTopic) !== undefined || !Number.isInteger(realQueueId) || realQueueId < 0) return undefined
  return {
    stored,
    offset: stored.queueOffset,
    physicalOffset: stored.physicalOffset,
    group: properties.get(PROPERTY.PGROUP) ?? '',
    realTopic,
    realQueueId,
    transactionId: properties.get(PROPERTY.UNIQ_KEY) ?? '',
    immunityMs: immunityMs(properties.get(PROPERTY.CHECK_IMMUNITY_TIME_IN_SECONDS)),
  }
}

function immunityMs(property: string | undefined): number | undefined {
  if (property === undefined || !/^\d{1,9}$/.test(property)) return undefined
  return Number(property) * 1000
}

export function readHalfMessage(store: MessageStore, physicalOffset: number): HalfMessage | undefined {
  const record = physicalOffset >= 0 ? store.readRecordAt(physicalOffset) : undefined
  return record === undefined ? undefined : halfMessageOf(decodeRecord(record))
}

/** How often Apache asked already: it keeps the count in the message, and we only when we hand the message on. */
export const checksIn = (half: HalfMessage): number => {
  const times = half.stored.properties.get(PROPERTY.TRANSACTION_CHECK_TIMES)
  return times !== undefined && /^\d{1,6}$/.test(times) ? Number(times) : 0
}

/**
 * The message as consumers get it (RocketMQ 5.3 `EndTransactionProcessor#endMessageTransaction`): the property text stays, with
 * REAL_TOPIC, REAL_QID and TRAN_MSG in it, and it names the half message that it came from.
 */
export const committed = (half: HalfMessage, storeHost: Uint8Array): MessageToStore =>
  copyOf(half, half.realTopic, half.realQueueId, SYS_FLAG.TRANSACTION_COMMIT, storeHost, half.stored.propertiesText)

/** The message as it is put aside when nobody could say how its transaction ended. */
export const discarded = (half: HalfMessage, checks: number, storeHost: Uint8Array): MessageToStore =>
  copyOf(half, TRANS_CHECK_MAX_TIME_TOPIC, 0, SYS_FLAG.TRANSACTION_NONE, storeHost, withChecks(half, checks))

/** What was put aside, as it waits again: it names the message that it was made of. */
export const resumed = (aside: StoredMessage, storeHost: Uint8Array): MessageToStore => {
  const from = { stored: aside, physicalOffset: aside.physicalOffset }
  return copyOf(from, HALF_TOPIC, HALF_QUEUE, SYS_FLAG.TRANSACTION_NONE, storeHost, withChecks(from, 0))
}

type CopiedFrom = Pick<HalfMessage, 'stored' | 'physicalOffset'>

function copyOf(
  half: CopiedFrom,
  topic: string,
  queueId: number,
  transaction: number,
  storeHost: Uint8Array,
  properties: string,
): MessageToStore {
  const { stored } = half
  const bornHost = hostToBytes(stored.bornHost, stored.bornPort)
  return {
    topic,
    queueId,
    flag: stored.flag,
    sysFlag: (stored.sysFlag & ~(SYS_FLAG.TRANSACTION_MASK | HOST_FLAGS)) | transaction | hostFlags(bornHost, storeHost),
    bornTimestamp: stored.bornTimestamp,
    bornHost,
    storeHost,
    reconsumeTimes: stored.reconsumeTimes,
    preparedTransactionOffset: half.physicalOffset,
    body: stored.body,
    properties: Buffer.from(properties),
  }
}

function withChecks(half: CopiedFrom, checks: number): string {
  const properties = new Map(half.stored.properties)
  properties.set(PROPERTY.TRANSACTION_CHECK_TIMES, String(checks))
  return formatProperties(properties)
}

/** The message as CHECK_TRANSACTION_STATE shows it to a producer: with the topic and queue that it was sent to. */
export function recordForCheck(half: HalfMessage, checks: number): Uint8Array {
  const { stored } = half
  return encodeRecord({
    ...stored,
    topic: half.realTopic,
    queueId: half.realQueueId,
    bornHost: hostToBytes(stored.bornHost, stored.bornPort),
    storeHost: stored.storeHostBytes,
    properties: withChecks(half, checks),
  })
}
