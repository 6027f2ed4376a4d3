import { createHash } from 'node:crypto'
import { HALF_TOPIC, PROPERTIES_MAX_BYTES, PROPERTY, SCHEDULE_TOPIC, checkTopicName, formatProperties } from '@skylarkmq/remoting/protocol'
import type { StoredMessage } from '@skylarkmq/remoting/protocol'
import type { MessageToStore, PendingTimer } from '@skylarkmq/store'
import { looksSame } from '../delay/find-delivery.ts'
import { copyOf } from '../topics/deliver-to.ts'
import { TIMER_QUEUE, TIMER_TOPIC, dueMsOf, slotEnd } from './timer-request.ts'
import type { TimerSchedule } from './timer-request.ts'

/** What a record of the timer topic means. */
export type TimerRecord =
  | { readonly kind: 'message'; readonly entry: PendingTimer; readonly isMovedByApache: boolean }
  /** Takes back what has this key and is due in (fromMs, toMs]. */
  | { readonly kind: 'recall'; readonly fromMs: number; readonly toMs: number; readonly keyHash: number }

/** RocketMQ 5.3 `TimerMessageStore#buildDeleteKey`. */
export const deleteKey = (topic: string, uniqKey: string): string => `${topic}+${uniqKey}`

/** 48 bits: enough that two messages of one second never share one by chance. */
export const keyHashOf = (key: string): number => createHash('sha1').update(key).digest().readUIntBE(0, 6)

/** Undefined for a record that does not say when or where. */
export function timerRecordOf(message: StoredMessage): TimerRecord | undefined {
  const { properties } = message
  const outText = properties.get(PROPERTY.TIMER_OUT_MS) ?? ''
  const outMs = /^-?\d{1,15}$/.test(outText) ? Number(outText) : Number.NaN
  if (Number.isNaN(outMs)) return undefined
  const recalled = properties.get(PROPERTY.TIMER_DEL_UNIQKEY)
  if (recalled !== undefined) {
    // RocketMQ 5.5 writes the key alone; the topic before it is an older form.
    const topic = properties.get(PROPERTY.REAL_TOPIC) ?? ''
    const key = recalled.startsWith(deleteKey(topic, '')) ? recalled : deleteKey(topic, recalled)
    return { kind: 'recall', fromMs: outMs + 1, toMs: slotEnd(outMs), keyHash: keyHashOf(key) }
  }
  const target = targetOf(message)
  if (target === undefined) return undefined
  // A record that was stored anew names the first. Apache's broker, when it stores one anew, does not.
  const isMoved = properties.has(PROPERTY.TIMER_ROLL_TIMES)
  const isMovedByApache = isMoved && message.preparedTransactionOffset === 0
  const entry = {
    origin: isMoved && !isMovedByApache ? message.preparedTransactionOffset : message.physicalOffset,
    dueMs: dueMsOf(properties, outMs, message.storeTimestamp),
    queueOffset: message.queueOffset,
    position: message.physicalOffset,
    keyHash: keyHashOf(deleteKey(target.topic, properties.get(PROPERTY.UNIQ_KEY) ?? '')),
    topic: target.topic,
  }
  return { kind: 'message', entry, isMovedByApache }
}

/** Where a waiting message goes. Undefined when it names no topic and queue to send to. */
function targetOf(message: StoredMessage): { readonly topic: string; readonly queueId: number } | undefined {
  const topic = message.properties.get(PROPERTY.REAL_TOPIC) ?? ''
  const queueId = Number(message.properties.get(PROPERTY.REAL_QID) ?? Number.NaN)
  if (topic === TIMER_TOPIC || topic === SCHEDULE_TOPIC || topic === HALF_TOPIC || checkTopicName(topic) !== undefined) return undefined
  return Number.isInteger(queueId) && queueId >= 0 ? { topic, queueId } : undefined
}

/**
 * The message as consumers get it (RocketMQ 5.3 `TimerMessageStore#convert`): the stored properties, REAL_TOPIC and REAL_QID with them,
 * and when it began and ended to wait. It names the record it came from, so that after a crash the log tells what was delivered.
 */
export function delivered(message: StoredMessage, entry: PendingTimer, nowMs: number): MessageToStore | undefined {
  const target = targetOf(message)
  if (target === undefined) return undefined
  return copyOf(message, target.topic, target.queueId, entry.origin, withTimes(message, nowMs, undefined))
}

/** A message that is to wait for its time first: it names its topic and queue already. */
export function waiting(message: MessageToStore, stored: ReadonlyMap<string, string>, schedule: TimerSchedule): MessageToStore {
  const properties = new Map(stored).set(PROPERTY.TIMER_OUT_MS, String(schedule.outMs))
  return { ...message, topic: TIMER_TOPIC, queueId: TIMER_QUEUE, properties: Buffer.from(formatProperties(properties)) }
}

/** The message stored anew in the timer topic, because the log's beginning is about to be removed. */
export function rolled(message: StoredMessage, entry: PendingTimer, nowMs: number): MessageToStore {
  const times = Number(message.properties.get(PROPERTY.TIMER_ROLL_TIMES) ?? 0)
  return copyOf(message, TIMER_TOPIC, TIMER_QUEUE, entry.origin, withTimes(message, nowMs, (Number.isInteger(times) ? times : 0) + 1))
}

function withTimes(message: StoredMessage, nowMs: number, rollTimes: number | undefined): Buffer {
  const properties = new Map(message.properties)
  properties.set(PROPERTY.TIMER_ENQUEUE_MS, String(message.storeTimestamp))
  properties.set(PROPERTY.TIMER_DEQUEUE_MS, String(nowMs))
  if (rollTimes !== undefined) properties.set(PROPERTY.TIMER_ROLL_TIMES, String(rollTimes))
  const bytes = Buffer.from(formatProperties(properties))
  if (bytes.length <= PROPERTIES_MAX_BYTES) return bytes
  // No room for them: rather without than not at all.
  if (rollTimes === undefined) return Buffer.from(message.propertiesText)
  properties.delete(PROPERTY.TIMER_ENQUEUE_MS)
  properties.delete(PROPERTY.TIMER_DEQUEUE_MS)
  return Buffer.from(formatProperties(properties))
}

/** Is `found`, a message of the real topic with the same key, what became of `message`? Apache's broker leaves no position in it. */
export function isDelivered(found: StoredMessage, message: StoredMessage, entry: PendingTimer): boolean {
  if (found.properties.get(PROPERTY.TIMER_OUT_MS) !== message.properties.get(PROPERTY.TIMER_OUT_MS)) return false
  if (found.preparedTransactionOffset !== 0) return found.preparedTransactionOffset === entry.origin
  return found.properties.has(PROPERTY.TIMER_DEQUEUE_MS) && looksSame(found, message)
}
