import type { Fields, HeaderOf } from './schema.ts'

export type CommandServer = 'namesrv' | 'broker' | 'client'

/**
 * One request of the protocol. The declaration is the one place: the request-code table, types, codecs, docs/protocol.md, the
 * golden round trips and the routes' completeness check are derived from it.
 */
export interface Command<Name extends string = string, Req extends Fields = Fields, Res extends Fields = Fields> {
  readonly code: number
  readonly name: Name
  /** Who answers it. `client` marks what a broker asks of a client. */
  readonly server: CommandServer | readonly CommandServer[]
  /** One sentence for docs/protocol.md. */
  readonly summary: string
  readonly request: Req
  readonly response: Res
  /** What the request's body holds: a type of `bodies/`, or 'message', 'stored-messages', 'properties'. Absent: none. */
  readonly requestBody?: string
  readonly responseBody?: string
  /** Which header fields name the topic and group that it touches (for permissions, logs, metrics). */
  readonly resource?: { readonly topic?: string; readonly group?: string }
}

// biome-ignore lint: the variance of Fields needs any here
export type AnyCommand = Command<string, any, any>
export type RequestOf<C extends AnyCommand> = C extends Command<string, infer Req, Fields> ? HeaderOf<Req> : never
export type ResponseOf<C extends AnyCommand> = C extends Command<string, Fields, infer Res> ? HeaderOf<Res> : never

export function defineCommand<const Name extends string, Req extends Fields, Res extends Fields>(
  command: Omit<Command<Name, Req, Res>, 'response' | 'request'> & { readonly request?: Req; readonly response?: Res },
): Command<Name, Req, Res> {
  return { ...command, request: command.request ?? ({} as Req), response: command.response ?? ({} as Res) }
}

/** Fields that Java adds to most requests (RocketMQ 5.3 `RpcRequestHeader`, `TopicRequestHeader`); all optional, none acted upon by us. */
export const RPC_FIELD_NAMES = ['ns', 'nsd', 'bname', 'oway', 'lo'] as const
