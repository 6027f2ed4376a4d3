/** One number that a server tells of itself, in Prometheus' terms: a gauge goes up and down, a counter only up. */
export interface Figure {
  /** Apache RocketMQ's name where it has one. */
  readonly name: string
  readonly kind: 'gauge' | 'counter'
  readonly help: string
  readonly value: number
  readonly labels?: Readonly<Record<string, string>>
}
