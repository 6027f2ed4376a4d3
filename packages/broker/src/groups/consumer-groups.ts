import { NotifyConsumerIdsChanged } from '@skylarkmq/remoting/protocol'
import type { ConsumeFromWhere, ConsumeType, ConsumerData, MessageModel } from '@skylarkmq/remoting/protocol'
import type { ServerConnection } from '@skylarkmq/remoting'
import type { Clock } from '@skylarkmq/runtime'
import { expressionsOf, sameExpressions } from './expressions.ts'
import type { Expressions } from './expressions.ts'
import { subscriptionOf } from './subscriptions.ts'
import type { Subscription } from './subscriptions.ts'

export interface ConsumerMember {
  readonly connection: ServerConnection
  clientId: string
  seenAt: number
  /** When it joined, by the clock that never goes back. */
  readonly joinedAt: number
  /** What it itself subscribes to, as its last heartbeat said. */
  expressions: Expressions
}

/** A member came, left, or subscribes to something else. The group is undefined when nobody is left. */
export type GroupListener = (name: string, group: ConsumerGroup | undefined) => void

export interface ConsumerGroup {
  readonly name: string
  consumeType: ConsumeType
  messageModel: MessageModel
  consumeFromWhere: ConsumeFromWhere
  readonly members: Map<ServerConnection, ConsumerMember>
  readonly subscriptions: Map<string, Subscription>
}

/**
 * Who consumes what, by heartbeat (RocketMQ 5.3 `ConsumerManager`). Membership is by connection. Whoever changes a group makes all of
 * its members rebalance: they are told once per turn, the newcomer too, which else would wait for its own timer.
 */
export class ConsumerGroups {
  readonly #groups = new Map<string, ConsumerGroup>()
  readonly #ofConnection = new Map<ServerConnection, Set<string>>()
  readonly #changed = new Set<string>()
  readonly #clock: Clock
  readonly #isNotified: (group: string) => boolean
  readonly #listeners: GroupListener[] = []

  /** `isNotified`: whether the members of a group want to hear of changes (its setting notifyConsumerIdsChangedEnable). */
  constructor(clock: Clock, isNotified: (group: string) => boolean) {
    this.#clock = clock
    this.#isNotified = isNotified
  }

  onChange(listener: GroupListener): void {
    this.#listeners.push(listener)
  }

  get(group: string): ConsumerGroup | undefined {
    return this.#groups.get(group)
  }

  all(): IterableIterator<ConsumerGroup> {
    return this.#groups.values()
  }

  subscription(group: string, topic: string): Subscription | undefined {
    return this.#groups.get(group)?.subscriptions.get(topic)
  }

  /** Each client once, also when an old connection of it has not been seen to close. */
  clientIds(group: string): string[] {
    const members = this.#groups.get(group)?.members.values() ?? []
    return [...new Set([...members].map((member) => member.clientId))]
  }

  findClient(group: string, clientId: string): ServerConnection | undefined {
    for (const member of this.#groups.get(group)?.members.values() ?? []) {
      if (member.clientId === clientId && !member.connection.isClosed) return member.connection
    }
    return undefined
  }

  groupsOf(topic: string): string[] {
    return [...this.#groups.values()].filter((group) => group.subscriptions.has(topic)).map((group) => group.name)
  }

  /** A heartbeat's part for one group. */
  register(connection: ServerConnection, clientId: string, data: ConsumerData): void {
    if (connection.isClosed) return
    // Before anything changes: an expression that cannot be read throws.
    const known = this.#groups.get(data.groupName)?.subscriptions
    const subscriptions = data.subscriptionDataSet.map((one) => subscriptionOf(one, known?.get(one.topic)))
    const group = this.#groupFor(data)
    group.consumeType = data.consumeType
    group.messageModel = data.messageModel
    group.consumeFromWhere = data.consumeFromWhere
    const isNew = this.#join(group, connection, clientId)
    const isResubscribed = this.#subscribe(group, subscriptions)
    const member = group.members.get(connection) as ConsumerMember
    const expressions = expressionsOf(data.subscriptionDataSet)
    const isOther = !sameExpressions(expressions, member.expressions)
    if (isOther) member.expressions = expressions
    if (isNew || isResubscribed) this.#tellLater(group)
    if (isNew || isOther) this.#changedTo(group.name, group)
  }

  /** A heartbeat that left its subscriptions out: the member lives. */
  touch(connection: ServerConnection, groupName: string): void {
    const member = this.#groups.get(groupName)?.members.get(connection)
    if (member !== undefined) member.seenAt = this.#clock.monotonic()
  }

  unregister(connection: ServerConnection, groupName: string): void {
    const group = this.#groups.get(groupName)
    if (!group?.members.delete(connection)) return
    const joined = this.#ofConnection.get(connection)
    if (joined?.delete(groupName) && joined.size === 0) this.#ofConnection.delete(connection)
    if (group.members.size === 0) this.#groups.delete(groupName)
    else this.#tellLater(group)
    this.#changedTo(groupName, group.members.size === 0 ? undefined : group)
  }

  drop(connection: ServerConnection): void {
    for (const group of [...(this.#ofConnection.get(connection) ?? [])]) this.unregister(connection, group)
  }

  /** Connections whose last heartbeat is older. */
  expired(expiryMs: number): ServerConnection[] {
    const now = this.#clock.monotonic()
    return [...this.#groups.values()].flatMap((group) =>
      [...group.members.values()].filter((member) => now - member.seenAt > expiryMs).map((member) => member.connection),
    )
  }

  #groupFor(data: ConsumerData): ConsumerGroup {
    const old = this.#groups.get(data.groupName)
    if (old !== undefined) return old
    const { groupName: name, consumeType, messageModel, consumeFromWhere } = data
    const group = { name, consumeType, messageModel, consumeFromWhere, members: new Map(), subscriptions: new Map() }
    this.#groups.set(name, group)
    return group
  }

  #join(group: ConsumerGroup, connection: ServerConnection, clientId: string): boolean {
    const seenAt = this.#clock.monotonic()
    const member = group.members.get(connection)
    if (member !== undefined) {
      const isRenamed = member.clientId !== clientId
      Object.assign(member, { clientId, seenAt })
      return isRenamed
    }
    group.members.set(connection, { connection, clientId, seenAt, joinedAt: seenAt, expressions: new Map() })
    let joined = this.#ofConnection.get(connection)
    if (joined === undefined) this.#ofConnection.set(connection, (joined = new Set()))
    joined.add(group.name)
    return true
  }

  /** A newer version replaces; topics that this heartbeat does not name are gone. Returns whether the set of topics changed. */
  #subscribe(group: ConsumerGroup, subscriptions: readonly Subscription[]): boolean {
    let isChanged = false
    const named = new Set<string>()
    for (const subscription of subscriptions) {
      const { topic, subVersion } = subscription.data
      named.add(topic)
      const old = group.subscriptions.get(topic)
      if (old === undefined) isChanged = true
      if (old === undefined || subVersion > old.data.subVersion) group.subscriptions.set(topic, subscription)
    }
    for (const topic of group.subscriptions.keys()) {
      if (named.has(topic)) continue
      group.subscriptions.delete(topic)
      isChanged = true
    }
    return isChanged
  }

  #changedTo(name: string, group: ConsumerGroup | undefined): void {
    for (const listener of this.#listeners) listener(name, group)
  }

  #tellLater(group: ConsumerGroup): void {
    if (group.messageModel === 'BROADCASTING' || !this.#isNotified(group.name)) return
    if (this.#changed.size === 0) this.#clock.afterTurn(() => this.#tell())
    this.#changed.add(group.name)
  }

  #tell(): void {
    const names = [...this.#changed]
    this.#changed.clear()
    for (const consumerGroup of names) {
      for (const connection of this.#groups.get(consumerGroup)?.members.keys() ?? [])
        connection.notify(NotifyConsumerIdsChanged, { consumerGroup })
    }
  }
}
