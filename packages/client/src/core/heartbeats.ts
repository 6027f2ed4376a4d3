import type { Answer } from '@skylarkmq/remoting'
import type { HeartbeatData } from '@skylarkmq/remoting/protocol'
import type { Clock, Log, Timer } from '@skylarkmq/runtime'
import { HeartBeat, UnregisterClient, encodeHeartbeat } from '@skylarkmq/remoting/protocol'
import type { BrokerTable } from './broker-table.ts'
import type { ClientCore, GroupMember } from './types.ts'
import { settledWithin } from './waiting.ts'

/** RocketMQ sends the first heartbeat to a new broker within a second. */
const SOON_MS = 1000

export interface HeartbeatParts {
  readonly clientId: string
  readonly clock: Clock
  readonly log: Log
  readonly intervalMs: number
  readonly brokers: BrokerTable
  readonly invoke: ClientCore['invoke']
}

/** Tells every known broker which groups live in this client. */
export class Heartbeats {
  readonly #parts: HeartbeatParts
  readonly #members = new Set<GroupMember>()
  readonly #silent = new Set<string>()
  readonly #interval: Timer
  #soon: Timer | undefined
  #running: Promise<number> | undefined
  #next: Promise<number> | undefined

  constructor(parts: HeartbeatParts) {
    this.#parts = parts
    this.#interval = parts.clock.every(parts.intervalMs, async () => {
      await this.now()
    })
  }

  get members(): ReadonlySet<GroupMember> {
    return this.#members
  }

  get hasConsumers(): boolean {
    for (const member of this.#members) if (member.kind === 'consumer') return true
    return false
  }

  register(member: GroupMember): void {
    this.#members.add(member)
    this.soon()
  }

  soon(): void {
    if (this.#soon || this.#members.size === 0) return
    this.#soon = this.#parts.clock.after(SOON_MS, () => {
      this.#soon = undefined
      void this.now()
    })
  }

  /** A call during a round joins one more round after it, so that every caller's state is in what brokers hear. */
  now(): Promise<number> {
    if (!this.#running) {
      this.#running = this.#round().finally(() => {
        this.#running = undefined
      })
      return this.#running
    }
    this.#next ??= this.#running.then(() => {
      this.#next = undefined
      return this.now()
    })
    return this.#next
  }

  async unregister(member: GroupMember, timeoutMs: number): Promise<void> {
    if (!this.#members.delete(member)) return
    // Another producer of this client may share the group.
    for (const other of this.#members) if (other.kind === member.kind && other.group === member.group) return
    const header = {
      clientID: this.#parts.clientId,
      producerGroup: member.kind === 'producer' ? member.group : undefined,
      consumerGroup: member.kind === 'consumer' ? member.group : undefined,
    }
    const slavesToo = member.kind === 'consumer'
    const calls = [...this.#parts.brokers.all(slavesToo)].map((address) =>
      // A broker that never heard of us needs no goodbye: no connection is made only for that.
      this.#parts.brokers.version(address) === undefined
        ? Promise.resolve()
        : this.#parts.invoke(address, UnregisterClient, header, { timeoutMs }).then(
            () => {},
            () => {},
          ),
    )
    await settledWithin(this.#parts.clock, Promise.all(calls), timeoutMs)
  }

  stop(): void {
    this.#interval.cancel()
    this.#soon?.cancel()
  }

  async #round(): Promise<number> {
    if (this.#members.size === 0) return 0
    const body = encodeHeartbeat(this.#data())
    const answers = await Promise.all([...this.#parts.brokers.all(this.hasConsumers)].map((address) => this.#beat(address, body)))
    return answers.filter((answer) => answer !== undefined).length
  }

  async #beat(address: string, body: Uint8Array): Promise<Answer<typeof HeartBeat> | undefined> {
    const { brokers, invoke, log } = this.#parts
    try {
      const answer = await invoke(address, HeartBeat, {}, { body })
      brokers.setVersion(address, answer.version)
      if (answer.code === 0) {
        if (this.#silent.delete(address)) log.info('a broker answers heartbeats again', { address })
        return answer
      }
      this.#warn(address, { code: answer.code, remark: answer.remark })
    } catch (error) {
      this.#warn(address, { error })
    }
    return undefined
  }

  #warn(address: string, fields: Record<string, unknown>): void {
    if (this.#silent.has(address)) return
    this.#silent.add(address)
    this.#parts.log.warn('a broker does not answer heartbeats', { address, ...fields })
  }

  #data(): HeartbeatData {
    const members = [...this.#members]
    const producerGroups = new Set(members.filter((member) => member.kind === 'producer').map((member) => member.group))
    return {
      clientID: this.#parts.clientId,
      producerDataSet: [...producerGroups].map((groupName) => ({ groupName })),
      consumerDataSet: members.flatMap((member) => member.consumerData?.() ?? []),
      heartbeatFingerprint: 0,
      withoutSub: false,
    }
  }
}
