/** Where an operation was when it failed. */
export type Phase = 'resolve' | 'connect' | 'send' | 'wait' | 'answer' | 'consume' | 'close'

export interface RocketErrorFields {
  /** A name of the response-code table, or one of ours: CONNECT_FAILED, TIMEOUT, CONNECTION_LOST, NO_ROUTE, CLOSED, ABORTED, BAD_FRAME, BAD_ARGUMENT. */
  readonly code: string
  /** The number on the wire, when a server answered. */
  readonly brokerCode?: number | undefined
  readonly retryable?: boolean | undefined
  readonly address?: string | undefined
  readonly phase?: Phase | undefined
  readonly topic?: string | undefined
  readonly group?: string | undefined
  readonly queueId?: number | undefined
  readonly cause?: unknown
}

/** An operating error: what happened, to what, what to do. Discriminate on `code`. */
export class RocketError extends Error {
  override readonly name = 'RocketError'
  readonly code: string
  readonly brokerCode: number | undefined
  readonly retryable: boolean
  readonly address: string | undefined
  readonly phase: Phase | undefined
  readonly topic: string | undefined
  readonly group: string | undefined
  readonly queueId: number | undefined

  constructor(message: string, fields: RocketErrorFields) {
    super(message, fields.cause === undefined ? undefined : { cause: fields.cause })
    this.code = fields.code
    this.brokerCode = fields.brokerCode
    this.retryable = fields.retryable ?? false
    this.address = fields.address
    this.phase = fields.phase
    this.topic = fields.topic
    this.group = fields.group
    this.queueId = fields.queueId
  }
}
