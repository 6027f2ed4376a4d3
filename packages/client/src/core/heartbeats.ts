import type { Answer } from '@skylarkmq/remoting'
import type { HeartbeatData } from '@skylarkmq/remoting/protocol'
import type { Clock, Log, Timer } from '@skylarkmq/runtime'
import { HeartBeat, UnregisterClient, encodeHeartbeat, javaStringHash } from '@skylarkmq/remoting/protocol'
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
  /** Leave out subscriptions that a broker knows already. */
  readonly isV2: boolean
}

/** What a broker that understands the second form of heartbeats has said last. */
interface Known {
  readonly fingerprint: number
  readonly mayBeLight: boolean
}

/** Tells every known broker which groups live in this client. */
export class Heartbeats {
  readonly #parts: HeartbeatParts
  readonly #members = new Set<GroupMember>()
  readonly #silent = new Set<string>()
  readonly #known = new Map<string, Known>()
  /** Somebody asked for the next round, who has something to tell: a sign of life will not do. */
  #mustBeFull = false
  readonly #interval: Timer
  #soon: Timer | undefined
  #running: Promise<number> | undefined
  #next: Promise<number> | undefined

  constructor(parts: HeartbeatParts) {
    this.#parts = parts
    this.#interval = parts.clock.every(parts.intervalMs, async () => {
      await this.now(parts.isV2)
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
  now(mayBeLight = false): Promise<number> {
    if (!mayBeLight) this.#mustBeFull = true
    if (!this.#running) {
      this.#running = this.#round().finally(() => {
        this.#running = undefined
      })
      return this.#running
    }
    this.#next ??= this.#running.then(() => {
      this.#next = undefined
      return this.now(true)
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

  /** A broker that lost the connection may have lost its memory too. */
  forget(address: string): void {
    this.#known.delete(address)
  }

  async #round(): Promise<number> {
    if (this.#members.size === 0) return 0
    const mayBeLight = !this.#mustBeFull
    this.#mustBeFull = false
    const data = this.#data()
    const full = encodeHeartbeat(data)
    const light = mayBeLight ? encodeHeartbeat(withoutSubscriptions(data)) : full
    const addresses = [...this.#parts.brokers.all(this.hasConsumers)]
    const answers = await Promise.all(
      addresses.map((address) => {
        const known = this.#known.get(address)
        const isLight = known?.mayBeLight === true && known.fingerprint === data.heartbeatFingerprint
        return this.#beat(address, isLight ? light : full, data.heartbeatFingerprint)
      }),
    )
    return answers.filter((answer) => answer !== undefined).length
  }

  async #beat(address: string, body: Uint8Array, fingerprint: number): Promise<Answer<typeof HeartBeat> | undefined> {
    const { brokers, invoke, log, isV2 } = this.#parts
    try {
      const answer = await invoke(address, HeartBeat, {}, { body })
      brokers.setVersion(address, answer.version)
      if (answer.code === 0) {
        if (isV2) this.#known.set(address, { fingerprint, mayBeLight: knowsSubscriptions(answer) })
        if (this.#silent.delete(address)) log.info('a broker answers heartbeats again', { address })
        return answer
      }
      this.#warn(address, { code: answer.code, remark: answer.remark })
    } catch (error) {
      this.#warn(address, { error })
    }
    this.forget(address)
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
    const data = {
      clientID: this.#parts.clientId,
      producerDataSet: [...producerGroups].map((groupName) => ({ groupName })),
      consumerDataSet: members.flatMap((member) => member.consumerData?.() ?? []),
      heartbeatFingerprint: 0,
      withoutSub: false,
    }
    return this.#parts.isV2 ? { ...data, heartbeatFingerprint: fingerprintOf(data) } : data
  }
}

/** RocketMQ 5.1.3 `HeartbeatData#computeHeartbeatFingerprint`: equal as long as nothing but versions changes; 0 means "not V2". */
function fingerprintOf(data: HeartbeatData): number {
  const consumerDataSet = data.consumerDataSet.map((consumer) => ({
    ...consumer,
    subscriptionDataSet: consumer.subscriptionDataSet.map((subscription) => ({ ...subscription, subVersion: 0n })),
  }))
  return javaStringHash(encodeHeartbeat({ ...data, clientID: '', consumerDataSet }).toString()) || 1
}

const withoutSubscriptions = (data: HeartbeatData): HeartbeatData => ({
  ...data,
  withoutSub: true,
  consumerDataSet: data.consumerDataSet.map((consumer) => ({ ...consumer, subscriptionDataSet: [] })),
})

const knowsSubscriptions = ({ ext }: Answer<typeof HeartBeat>): boolean =>
  ext?.['IS_SUPPORT_HEART_BEAT_V2'] === 'true' && ext['IS_SUB_CHANGE'] === 'false'
