import { GetRouteinfoByTopic, decodeTopicRoute, isReadable } from '@skylarkmq/remoting/protocol'
import type { MessageQueue, QueueData } from '@skylarkmq/remoting/protocol'
import type { RemotingClient } from '@skylarkmq/remoting'
import type { Clock } from '@skylarkmq/runtime'
import type { Settings } from '../config.ts'
import { LIMITS } from '../limits.ts'
import { parseNamesrvAddr } from '../registration.ts'
import type { TopicConfigs } from '../topics/topic-configs.ts'

const FRESH_MS = 10_000
const TIMEOUT_MS = 3000

interface Known {
  readonly queues: readonly MessageQueue[] | undefined
  readonly askedAt: number
}

export interface RouteDeps {
  readonly topics: TopicConfigs
  readonly settings: Settings
  readonly clock: Clock
  readonly brokerName: string
}

/** The queues of a topic on all brokers, as consumers see them: a broker that gives out queues has to know its neighbours'. */
export class TopicRoutes {
  readonly #deps: RouteDeps
  readonly #known = new Map<string, Known>()
  #client: RemotingClient | undefined

  constructor(deps: RouteDeps) {
    this.#deps = deps
  }

  /** Before, and without NameServers, this broker is the only one. */
  connect(client: RemotingClient): void {
    this.#client = client
  }

  /** In the order that clients sort them; undefined when the topic is nowhere. */
  async queuesOf(topic: string): Promise<readonly MessageQueue[] | undefined> {
    const now = this.#deps.clock.monotonic()
    const known = this.#known.get(topic)
    if (known !== undefined && now - known.askedAt < FRESH_MS) return known.queues
    const asked = await this.#ask(topic)
    // NameServers that are away change nothing.
    const queues = asked === 'away' ? (known?.queues ?? this.#own(topic)) : asked
    if (this.#known.size >= LIMITS.topicRoutes) this.#known.delete(this.#known.keys().next().value as string)
    if (queues === undefined) this.#known.delete(topic)
    else this.#known.set(topic, { queues, askedAt: now })
    return queues
  }

  async #ask(topic: string): Promise<readonly MessageQueue[] | undefined | 'away'> {
    const client = this.#client
    const addresses = parseNamesrvAddr(this.#deps.settings.current.namesrvAddr)
    if (client === undefined || addresses.length === 0) return this.#own(topic)
    let isMissing = false
    for (const address of addresses) {
      try {
        const answer = await client.invoke(address, GetRouteinfoByTopic, { topic }, { timeoutMs: TIMEOUT_MS })
        if (answer.code === 0) return queuesIn(topic, decodeTopicRoute(answer.body).queueDatas)
        isMissing = true
      } catch {
        // The next one may answer.
      }
    }
    // A topic that was just made here may not have got there yet.
    return isMissing ? this.#own(topic) : 'away'
  }

  #own(topic: string): readonly MessageQueue[] | undefined {
    const config = this.#deps.topics.get(topic)
    return config === undefined ? undefined : queuesIn(topic, [{ ...config, brokerName: this.#deps.brokerName }])
  }
}

function queuesIn(topic: string, brokers: readonly QueueData[]): readonly MessageQueue[] {
  const names = brokers.filter(({ perm }) => isReadable(perm)).sort((a, b) => (a.brokerName < b.brokerName ? -1 : 1))
  return names.flatMap(({ brokerName, readQueueNums }) =>
    Array.from({ length: readQueueNums }, (_, queueId) => ({ topic, brokerName, queueId })),
  )
}
