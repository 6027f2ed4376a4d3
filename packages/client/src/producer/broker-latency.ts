import type { Clock } from '@skylarkmq/runtime'

/** RocketMQ 5.3 `MQFaultStrategy`: a broker that took this long (ms) … */
export const LATENCY_MS: readonly number[] = [50, 100, 550, 1800, 3000, 5000, 15_000]
/** … is passed over for this long. */
export const NOT_AVAILABLE_MS: readonly number[] = [0, 0, 2000, 5000, 6000, 10_000, 30_000]
/** A broker that failed counts as one that took this long. */
export const FAILED_AS_MS = 10_000

export function notAvailableMs(latencyMs: number): number {
  for (let i = LATENCY_MS.length - 1; i >= 0; i--) if (latencyMs >= (LATENCY_MS[i] as number)) return NOT_AVAILABLE_MS[i] as number
  return 0
}

interface Health {
  availableFrom: number
  isReachable: boolean
}

/** How brokers answered lately, so that messages go to those that answer fast. */
export class BrokerLatency {
  readonly #clock: Clock
  readonly #brokers = new Map<string, Health>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  answered(brokerName: string, latencyMs: number): void {
    const pauseMs = notAvailableMs(latencyMs)
    // The usual case costs no entry and no clock.
    if (pauseMs === 0 && !this.#brokers.has(brokerName)) return
    this.#brokers.set(brokerName, { availableFrom: this.#clock.monotonic() + pauseMs, isReachable: true })
  }

  /** `isReachable` false: no connection could be made. */
  failed(brokerName: string, isReachable: boolean): void {
    this.#brokers.set(brokerName, { availableFrom: this.#clock.monotonic() + notAvailableMs(FAILED_AS_MS), isReachable })
  }

  isAvailable(brokerName: string): boolean {
    const health = this.#brokers.get(brokerName)
    return health === undefined || this.#clock.monotonic() >= health.availableFrom
  }

  /** Unreachable brokers count as reachable again after their pause: the next send is the probe. */
  isReachable(brokerName: string): boolean {
    const health = this.#brokers.get(brokerName)
    return health === undefined || health.isReachable || this.#clock.monotonic() >= health.availableFrom
  }
}
