/**
 * The oldest complaint about RocketMQ: a broker tells clients an address that they cannot reach, and the clients report timeouts that
 * name neither the reason nor the setting. Here the broker dials its own addresses at its start, and asks the NameServers who was told
 * about it and compares with who has connected.
 */
import { GetGroupHealth, GetRouteReaders, ResponseCode, parseAddressRules } from '@skylarkmq/remoting/protocol'
import type { RemotingClient } from '@skylarkmq/remoting'
import type { Clock, Timer } from '@skylarkmq/runtime'
import { plain } from '../answers.ts'
import type { Settings } from '../config.ts'
import { LIMITS } from '../limits.ts'
import type { Findings } from './findings.ts'

export interface ReachabilityDeps {
  readonly findings: Findings
  readonly settings: Settings
  readonly clock: Clock
  readonly brokerName: string
}

/** One of the answer of GET_ROUTE_READERS. */
interface RouteReader {
  readonly host: string
  readonly address: string
  readonly language: string
  readonly topic: string
  readonly told: string
  readonly sinceMs: number
}

const DIAL_TIMEOUT_MS = 5_000
const DIAL_AGAIN_MS = 60_000
const ASK_MS = 30_000
const NEVER = 'never-connected/'

export class Reachability {
  readonly #deps: ReachabilityDeps
  /** Hosts that have connected, in order of their last time. */
  readonly #hosts = new Set<string>()
  readonly #timers = new Set<Timer>()
  #isClosed = false

  constructor(deps: ReachabilityDeps) {
    this.#deps = deps
  }

  connected(host: string): void {
    this.#hosts.delete(host)
    this.#hosts.add(host)
    if (this.#hosts.size > LIMITS.hostsSeen) this.#hosts.delete(this.#hosts.values().next().value as string)
    this.#deps.findings.clear(NEVER + host)
  }

  /** `address`: what clients are told. Nothing waits for what comes of it. */
  start(client: RemotingClient, address: string, namesrvs: readonly string[]): void {
    const { settings, clock } = this.#deps
    const { selfDialEnable, advertisedAddresses } = settings.current
    const port = Number(address.slice(address.lastIndexOf(':') + 1))
    const told = [address, ...parseAddressRules(advertisedAddresses, port).map((rule) => rule.address)]
    if (selfDialEnable) for (const one of new Set(told)) void this.#dial(client, one)
    if (namesrvs.length > 0) this.#timers.add(clock.every(ASK_MS, () => this.#compare(client, namesrvs)))
  }

  close(): void {
    this.#isClosed = true
    for (const timer of this.#timers) timer.cancel()
  }

  async #dial(client: RemotingClient, address: string): Promise<void> {
    const { findings, clock, brokerName } = this.#deps
    const key = `self-dial/${address}`
    const trouble = await this.#troubleAt(client, address)
    if (this.#isClosed) return
    if (trouble === undefined) {
      findings.clear(key)
      return
    }
    findings.raise(key, {
      kind: 'address-unreachable',
      address,
      sentence:
        `clients are told to connect to ${plain(address)}, and broker ${plain(brokerName)} does not find itself there: ${plain(trouble)}; ` +
        'set brokerIP1 (or the rule of advertisedAddresses) to an address that clients can reach, and open its port',
    })
    this.#timers.add(
      clock.after(DIAL_AGAIN_MS, () => {
        void this.#dial(client, address)
      }),
    )
  }

  async #troubleAt(client: RemotingClient, address: string): Promise<string | undefined> {
    try {
      const header = { group: 'self' }
      const answer = await client.invoke(address, GetGroupHealth, header, { timeoutMs: DIAL_TIMEOUT_MS })
      // Whoever refuses is a broker at least: an address where nobody may ask can still be the right one.
      if (answer.code !== ResponseCode.SUCCESS) {
        return answer.code === ResponseCode.REQUEST_CODE_NOT_SUPPORTED ? 'another server listens there' : undefined
      }
      const { brokerName } = JSON.parse(Buffer.from(answer.body).toString()) as { readonly brokerName?: string }
      return brokerName === this.#deps.brokerName ? undefined : `the broker ${brokerName} listens there`
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
  }

  async #compare(client: RemotingClient, namesrvs: readonly string[]): Promise<void> {
    const { findings, settings, brokerName } = this.#deps
    const minAgeMs = settings.current.clientNeverConnectedSeconds * 1000
    const keep = new Set<string>()
    const answers = await Promise.all(minAgeMs === 0 ? [] : namesrvs.map((namesrv) => ask(client, namesrv, brokerName, minAgeMs)))
    if (this.#isClosed) return
    // What one NameServer could not answer now may hold on.
    if (answers.some((readers) => readers === undefined)) for (const key of findings.keys(NEVER)) keep.add(key)
    for (const reader of answers.flatMap((readers) => readers ?? [])) {
      if (this.#hosts.has(reader.host)) continue
      keep.add(NEVER + reader.host)
      findings.raise(NEVER + reader.host, {
        kind: 'client-never-connected',
        topic: reader.topic,
        address: reader.told,
        sentence:
          `a client at ${plain(reader.address)} (${reader.language}) was told ${Math.round(reader.sinceMs / 1000)} s ago that topic ` +
          `${plain(reader.topic)} is at ${plain(reader.told)}, and nobody has connected from ${plain(reader.host)} since: it cannot reach that ` +
          `address; set brokerIP1, or advertisedAddresses=${plain(reader.host)}/32=ADDRESS, to one that it can reach`,
      })
    }
    findings.clearOthers(NEVER, keep)
  }
}

/** Empty for a NameServer that does not know the question, undefined when it did not answer. */
async function ask(
  client: RemotingClient,
  namesrv: string,
  brokerName: string,
  minAgeMs: number,
): Promise<readonly RouteReader[] | undefined> {
  try {
    const answer = await client.invoke(namesrv, GetRouteReaders, { brokerName, minAgeMs }, { timeoutMs: DIAL_TIMEOUT_MS })
    if (answer.code !== ResponseCode.SUCCESS) return []
    return (JSON.parse(Buffer.from(answer.body).toString()) as { readonly readers?: readonly RouteReader[] }).readers ?? []
  } catch {
    return undefined
  }
}
