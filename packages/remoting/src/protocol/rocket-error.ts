/** Codes of errors that no server answered; `RocketError#code` is one of these or a name of RESPONSE_CODES. */
export const LOCAL_ERROR_CODES = {
  CONNECT_FAILED: 'No connection to the address could be made.',
  CONNECTION_LOST: 'The connection broke while the answer was awaited: the server may or may not have acted.',
  TIMEOUT: 'No answer came in time: the server may or may not have acted.',
  NO_ROUTE: 'No NameServer knows a broker for the topic.',
  ABORTED: 'The caller’s AbortSignal aborted.',
  CLOSED: 'The client or server is closed or closing.',
  BAD_FRAME: 'The peer sent bytes that are no frame of the protocol; the sentence names the field and the value.',
  BAD_ARGUMENT: 'The call’s own arguments cannot be; nothing was sent.',
} as const satisfies Record<string, string>

/** Where an operation was when it failed. */
export type Phase = 'resolve' | 'connect' | 'send' | 'wait' | 'answer' | 'consume' | 'close'

export interface RocketErrorFields {
  /** A name of RESPONSE_CODES or LOCAL_ERROR_CODES. */
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
