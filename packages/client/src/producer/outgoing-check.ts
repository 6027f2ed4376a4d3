import type { SchemaIssue, StandardSchema } from '../consumer/schema.ts'
import type { Log } from '@skylarkmq/runtime'
import type { Message } from './types.ts'
import { InvalidMessageError, unreadable } from '../consumer/schema.ts'

/** `reject` (default): the call rejects with InvalidMessageError, nothing is sent. `send`: it is sent all the same, and logged. */
export type InvalidSendOutcome = 'reject' | 'send'

export type OnInvalidSend =
  | InvalidSendOutcome
  | ((message: Message, error: InvalidMessageError) => InvalidSendOutcome | Promise<InvalidSendOutcome>)

export interface CheckOptions {
  readonly schemas?: Readonly<Record<string, StandardSchema>>
  readonly decode?: (message: Message) => unknown
  readonly onInvalid?: OnInvalidSend
}

/** What bodies must be before they are sent: a consumer's schema, held against the message where its mistake was made. */
export class OutgoingCheck {
  readonly #schemas: Readonly<Record<string, StandardSchema>>
  readonly #decode: (message: Message) => unknown
  readonly #onInvalid: OnInvalidSend
  readonly #log: Log

  constructor(schemas: Readonly<Record<string, StandardSchema>>, { decode = jsonOfBody, onInvalid = 'reject' }: CheckOptions, log: Log) {
    this.#schemas = schemas
    this.#decode = decode
    this.#onInvalid = onInvalid
    this.#log = log
  }

  async check(message: Message): Promise<void> {
    const onInvalid = this.#onInvalid
    const schema = Object.hasOwn(this.#schemas, message.topic) ? this.#schemas[message.topic] : undefined
    if (schema === undefined) return
    const error = await this.#errorOf(message, schema)
    if (error === undefined) return
    if ((typeof onInvalid === 'function' ? await onInvalid(message, error) : onInvalid) !== 'send') throw error
    this.#log.warn('an invalid message is sent all the same', { topic: message.topic, error })
  }

  async #errorOf(message: Message, schema: StandardSchema): Promise<InvalidMessageError | undefined> {
    let given: unknown
    try {
      given = this.#decode(message)
    } catch (error) {
      return invalid(message, [unreadable(error)], error)
    }
    const { issues } = await schema['~standard'].validate(given)
    return issues && invalid(message, issues)
  }
}

const invalid = (message: Message, issues: readonly SchemaIssue[], cause?: unknown): InvalidMessageError =>
  new InvalidMessageError({ topic: message.topic, phase: 'send' }, issues, cause)

const jsonOfBody = ({ body }: Message): unknown => JSON.parse(typeof body === 'string' ? body : Buffer.from(body).toString('utf8'))

/** Undefined for a producer without schemas: its messages cost nothing more. */
export const outgoingCheck = (options: CheckOptions, log: Log): OutgoingCheck | undefined =>
  options.schemas && new OutgoingCheck(options.schemas, options, log)
