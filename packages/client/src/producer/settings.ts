import type { CheckOptions } from './outgoing-check.ts'
import type { InFlightLimits } from './in-flight.ts'
import type { ProducerOptions } from './types.ts'

/** A producer's options with RocketMQ's defaults (5.3 `DefaultMQProducer`). */
export type ProducerSettings = Required<
  Omit<ProducerOptions, 'inFlight' | 'group' | 'attemptTimeoutMs' | 'onCheck' | 'messageTrace' | keyof CheckOptions>
> & {
  readonly attemptTimeoutMs: number | undefined
  readonly inFlight: InFlightLimits
}

export const settingsOf = (options: ProducerOptions): ProducerSettings => ({
  timeoutMs: options.timeoutMs ?? 3000,
  attemptTimeoutMs: options.attemptTimeoutMs,
  retries: options.retries ?? 2,
  retryWhenNotStoredSafely: options.retryWhenNotStoredSafely ?? false,
  maxMessageBytes: options.maxMessageBytes ?? 4 * 1024 * 1024,
  compressFromBytes: options.compressFromBytes ?? 4096,
  batchBytes: options.batchBytes ?? 1024 * 1024,
  avoidSlowBrokers: options.avoidSlowBrokers ?? true,
  inFlight: {
    messages: options.inFlight?.messages ?? 1024,
    bytes: options.inFlight?.bytes ?? 64 * 1024 * 1024,
    whenFull: options.inFlight?.whenFull ?? 'wait',
  },
})
