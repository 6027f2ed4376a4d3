import type { Reply, RequestContext } from '@skylarkmq/remoting'
import { refuse } from '../answers.ts'

/** Answers a request that was held, by its connection. Only so much of it is kept while it waits. */
export function replier<R extends Reply<never> | Reply>(
  { frame, connection }: RequestContext,
  what: string,
  look: (isLastTime: boolean) => R | undefined | Promise<R | undefined>,
): (isLastTime: boolean) => void {
  const request = { opaque: frame.opaque, serializeType: frame.serializeType, code: frame.code, version: frame.version }
  const send = (reply: R | undefined): void => {
    if (reply !== undefined) connection.reply(request, reply as Reply)
  }
  const fail = (error: unknown): void =>
    connection.reply(
      request,
      refuse('SYSTEM_ERROR', `the ${what} failed: ${error instanceof Error ? error.message : String(error)}; try again`),
    )
  return (isLastTime) => {
    if (connection.isClosed) return
    try {
      const reply = look(isLastTime)
      if (reply instanceof Promise) reply.then(send, fail)
      else send(reply)
    } catch (error) {
      fail(error)
    }
  }
}
