import type { ClientHandler, Reply } from '@skylarkmq/remoting'
import type { AnyCommand } from '@skylarkmq/remoting/protocol'
import {
  CheckTransactionState,
  ConsumeMessageDirectly,
  GetConsumerRunningInfo,
  GetConsumerStatusFromClient,
  NotifyConsumerIdsChanged,
  PushReplyMessageToClient,
  ResetConsumerClientOffset,
  ResponseCode,
} from '@skylarkmq/remoting/protocol'
import { assert } from '@skylarkmq/runtime'
import { clientHandler } from '@skylarkmq/remoting'

/** What brokers ask of clients. The first three want no answer (RocketMQ 5.3 `ClientRemotingProcessor`). */
const ONE_WAY: readonly AnyCommand[] = [CheckTransactionState, NotifyConsumerIdsChanged, ResetConsumerClientOffset]
const TWO_WAY: readonly AnyCommand[] = [
  GetConsumerStatusFromClient,
  GetConsumerRunningInfo,
  ConsumeMessageDirectly,
  PushReplyMessageToClient,
]

type Handle = ClientHandler['process']

/** Requests of brokers, handed to the producers and consumers that registered for them. */
export class Notifications {
  readonly #handlers = new Map<number, Handle[]>()
  readonly forRemoting: readonly ClientHandler[]

  constructor() {
    this.forRemoting = [...ONE_WAY, ...TWO_WAY].map((command) => {
      this.#handlers.set(command.code, [])
      return clientHandler(command, (request, context) => this.#dispatch(command, request, context))
    })
  }

  on<C extends AnyCommand>(command: C, handler: ClientHandler<C>['process']): () => void {
    const handlers = this.#handlers.get(command.code)
    assert(handlers, `clients are never asked ${command.name}`)
    const handle = handler as unknown as Handle
    handlers.push(handle)
    return () => {
      const at = handlers.indexOf(handle)
      if (at >= 0) handlers.splice(at, 1)
    }
  }

  async #dispatch(command: AnyCommand, request: Parameters<Handle>[0], context: Parameters<Handle>[1]): Promise<Reply | undefined> {
    // A copy: a handler may remove itself.
    for (const handle of this.#handlers.get(command.code)?.slice() ?? []) {
      const reply = await handle(request, context)
      if (reply !== undefined) return reply
    }
    if (ONE_WAY.includes(command)) return undefined
    return {
      code: ResponseCode.SYSTEM_ERROR,
      remark: `this client has no member for ${command.name}; it may have left the group a moment ago`,
    }
  }
}
