import { PROPERTY } from '@skylarkmq/remoting/protocol'
import { plain, refuse } from '../answers.ts'
import type { Refusal } from '../answers.ts'
import type { BrokerConfig } from '../config.ts'

/** Where messages wait for a time of their own: queue 0 of Apache's topic for them. */
export const TIMER_TOPIC = 'rmq_sys_wheel_timer'
export const TIMER_QUEUE = 0

/** RocketMQ 5.3 timerPrecisionMs: TIMER_OUT_MS names the slot that begins so long before the delivery at most. */
const SLOT_MS = 1000

/** Properties that ask for a time, in the order in which they count (RocketMQ 5.3 `HookUtils#transformTimerMessage`). The last is Aliyun's. */
export const TIMER_REQUESTS = [
  PROPERTY.TIMER_DELAY_SEC,
  PROPERTY.TIMER_DELAY_MS,
  PROPERTY.TIMER_DELIVER_MS,
  PROPERTY.START_DELIVER_TIME,
] as const

/** The first request in the properties: its name, and the wall time it means when relative times count from `nowMs`. */
function firstRequest(
  properties: ReadonlyMap<string, string>,
  nowMs: number,
): { name: string; text: string; deliverMs: number } | undefined {
  for (const name of TIMER_REQUESTS) {
    const text = properties.get(name)
    if (text === undefined) continue
    const value = /^[+-]?\d{1,19}$/.test(text) ? Number(text) : Number.NaN
    const deliverMs = name === PROPERTY.TIMER_DELAY_SEC ? nowMs + value * 1000 : name === PROPERTY.TIMER_DELAY_MS ? nowMs + value : value
    return { name, text, deliverMs }
  }
  return undefined
}

/** Room that a record which is stored anew may need in the properties beside what the producer sent: sends leave it free. */
export const ROLL_PROPERTY_BYTES = Buffer.byteLength(`${PROPERTY.TIMER_ROLL_TIMES}\u00011000000\u0002`)

export const OUT_PROPERTY_BYTES = Buffer.byteLength(`${PROPERTY.TIMER_OUT_MS}\u0001${Number.MAX_SAFE_INTEGER}\u0002`)

export interface TimerSchedule {
  /** What TIMER_OUT_MS says. */
  readonly outMs: number
}

/**
 * What a producer's properties ask for. Undefined: nothing, or a time that has passed, which means now. A recall is only of use before
 * its time.
 */
export function scheduleOf(
  properties: ReadonlyMap<string, string>,
  nowMs: number,
  config: Pick<BrokerConfig, 'timerWheelEnable' | 'timerMaxDelaySec'>,
): TimerSchedule | Refusal | undefined {
  const request = firstRequest(properties, nowMs)
  if (request === undefined) return undefined
  const { name, text, deliverMs } = request
  if (!config.timerWheelEnable) {
    return refuse(
      'SYSTEM_ERROR',
      `accurate timer message is not enabled, timerWheelEnable is false; ${name}=${plain(text)} needs it, a delay level (DELAY) does not`,
    )
  }
  const maxMs = config.timerMaxDelaySec * 1000
  const limit = `timer message illegal, the delay time should not be bigger than the max delay ${maxMs}ms`
  if (Number.isNaN(deliverMs)) return refuse('MESSAGE_ILLEGAL', `${limit}; ${name}=${plain(text)} is no whole number`)
  if (deliverMs <= nowMs) {
    if (!properties.has(PROPERTY.TIMER_DEL_UNIQKEY)) return undefined
    return refuse(
      'MESSAGE_ILLEGAL',
      `${limit}; or if set del msg, the delay time should be bigger than the current time; ${name}=${plain(text)}`,
    )
  }
  if (deliverMs - nowMs > maxMs) {
    return refuse(
      'MESSAGE_ILLEGAL',
      `${limit}; ${name}=${plain(text)} is ${deliverMs - nowMs}ms from now; choose an earlier time or raise timerMaxDelaySec=${config.timerMaxDelaySec}`,
    )
  }
  return { outMs: slotOf(deliverMs) }
}

/** The slot of a time: the second before it, the whole one before when it is a whole second (RocketMQ 5.3 `HookUtils`). */
export const slotOf = (deliverMs: number): number => (Math.ceil(deliverMs / SLOT_MS) - 1) * SLOT_MS

/** The last millisecond that has this slot: when Apache delivers it. */
export const slotEnd = (outMs: number): number => outMs + SLOT_MS

/**
 * When a stored message is due. Apache delivers at the end of the slot; the properties mostly tell the millisecond. What they tell counts
 * only within the slot: a message that was stored anew has a later store time.
 */
export function dueMsOf(properties: ReadonlyMap<string, string>, outMs: number, storeTimestamp: number): number {
  const asked = firstRequest(properties, storeTimestamp)?.deliverMs ?? Number.NaN
  return asked > outMs && asked <= slotEnd(outMs) ? asked : slotEnd(outMs)
}
