import type { ServerConnection } from '@skylarkmq/remoting'
import type { Clock } from '@skylarkmq/runtime'

export interface ProducerMember {
  readonly connection: ServerConnection
  clientId: string
  seenAt: number
}

/** Who produces: for request-reply, for asking about transactions, and for tools. */
export class ProducerGroups {
  readonly #groups = new Map<string, Map<ServerConnection, ProducerMember>>()
  readonly #ofConnection = new Map<ServerConnection, Set<string>>()
  /** The latest connection of each client, for replies. */
  readonly #ofClient = new Map<string, ServerConnection>()
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  register(group: string, clientId: string, connection: ServerConnection): void {
    if (connection.isClosed) return
    let joined = this.#ofConnection.get(connection)
    if (joined === undefined) this.#ofConnection.set(connection, (joined = new Set()))
    joined.add(group)
    this.#ofClient.set(clientId, connection)
    let members = this.#groups.get(group)
    if (members === undefined) this.#groups.set(group, (members = new Map()))
    const member = members.get(connection)
    const seenAt = this.#clock.monotonic()
    if (member === undefined) members.set(connection, { connection, clientId, seenAt })
    else {
      if (member.clientId !== clientId && this.#ofClient.get(member.clientId) === connection) this.#ofClient.delete(member.clientId)
      Object.assign(member, { clientId, seenAt })
    }
  }

  unregister(group: string, connection: ServerConnection): void {
    const members = this.#groups.get(group)
    const clientId = members?.get(connection)?.clientId
    if (members?.delete(connection) && members.size === 0) this.#groups.delete(group)
    const joined = this.#ofConnection.get(connection)
    if (!joined?.delete(group) || joined.size > 0) return
    this.#ofConnection.delete(connection)
    if (clientId !== undefined && this.#ofClient.get(clientId) === connection) this.#ofClient.delete(clientId)
  }

  /** Where a client that produces can be reached. */
  connectionOf(clientId: string): ServerConnection | undefined {
    const connection = this.#ofClient.get(clientId)
    return connection?.isClosed === false ? connection : undefined
  }

  drop(connection: ServerConnection): void {
    for (const group of [...(this.#ofConnection.get(connection) ?? [])]) this.unregister(group, connection)
  }

  members(group: string): ProducerMember[] {
    return [...(this.#groups.get(group)?.values() ?? [])]
  }

  entries(): IterableIterator<[string, Map<ServerConnection, ProducerMember>]> {
    return this.#groups.entries()
  }

  /** Connections whose last heartbeat is older. */
  expired(expiryMs: number): ServerConnection[] {
    const now = this.#clock.monotonic()
    return [...this.#groups.values()].flatMap((members) =>
      [...members.values()].filter((member) => now - member.seenAt > expiryMs).map((member) => member.connection),
    )
  }
}
