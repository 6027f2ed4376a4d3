import { RocketError } from '@skylarkmq/remoting/protocol'
import type { ReceivedMessage } from './received-message.ts'

/** What libraries of validators (Zod, Valibot, ArkType …) have in common: https://standardschema.dev, version 1. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    /** Only for inference; never there at run time. */
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[]; readonly value?: unknown }

export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** `deadLetter`: no further attempts, kept in `%DLQ%group`. `skip`: consumed unseen. `retry`: as if the handler had thrown. */
export type InvalidOutcome = 'deadLetter' | 'skip' | 'retry'

export type OnInvalid =
  | InvalidOutcome
  | ((message: ReceivedMessage, error: InvalidMessageError) => InvalidOutcome | Promise<InvalidOutcome>)

/** The message that a schema refuses: one that came, or one that is about to be sent. */
interface Refused {
  readonly topic: string
  readonly messageId?: string
  readonly queueId?: number
  readonly phase?: 'send' | 'consume'
}

export const unreadable = (error: unknown): SchemaIssue => ({
  message: `the body cannot be read: ${error instanceof Error ? error.message : String(error)}`,
})

/** A body that its schema refuses, or that is not JSON. */
export class InvalidMessageError extends RocketError {
  readonly issues: readonly SchemaIssue[]

  constructor(message: Refused, issues: readonly SchemaIssue[], cause?: unknown) {
    const first = issues[0]
    const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : ''
    const { topic, messageId, queueId, phase = 'consume' } = message
    const which = messageId === undefined ? `the message to ${topic}` : `message ${messageId} of ${topic}`
    super(`${which} is not what the schema wants: ${first ? sentence(first) : 'no reason given'}${more}`, {
      code: 'MESSAGE_ILLEGAL',
      phase,
      topic,
      queueId,
      cause,
    })
    this.issues = issues
  }
}

const sentence = ({ path, message }: SchemaIssue): string =>
  path && path.length > 0 ? `${path.map((step) => String(typeof step === 'object' ? step.key : step)).join('.')}: ${message}` : message

/** The value of a body, decoded and validated. Rejects with InvalidMessageError. */
export async function parseBody<Output>(
  message: ReceivedMessage,
  schema: StandardSchema<unknown, Output>,
  decode: (message: ReceivedMessage) => unknown,
): Promise<Output> {
  let given: unknown
  try {
    given = decode(message)
  } catch (error) {
    throw new InvalidMessageError(message, [unreadable(error)], error)
  }
  const result = await schema['~standard'].validate(given)
  if (result.issues) throw new InvalidMessageError(message, result.issues)
  return result.value as Output
}
