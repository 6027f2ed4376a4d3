import { UpdateAndCreateTopic, checkTopicName, isDlqTopic, isRetryTopic, isSystemTopic } from '@skylarkmq/remoting/protocol'
import type { BrokerData } from '@skylarkmq/remoting/protocol'
import { createRemotingClient, expectSuccess } from '@skylarkmq/remoting'
import type { RemotingClient } from '@skylarkmq/remoting'
import type { Runtime } from '@skylarkmq/runtime'
import { REGISTRATION_POLL_MS, TOPIC_CREATIONS_AT_ONCE, TOPIC_CREATION_MS } from './limits.ts'

const QUEUES = 4
const READ_WRITE = 6

/**
 * For development (createTopicOnRouteQuery): asks every master to create a topic, so that a consumer which starts before the first
 * message finds its queues at once, and messages spread over all brokers from the first.
 */
export class TopicCreator {
  readonly #runtime: Runtime
  readonly #underWay = new Map<string, Promise<void>>()
  #client: RemotingClient | undefined

  constructor(runtime: Runtime) {
    this.#runtime = runtime
  }

  /** Never rejects: what could not be created is still missing afterwards. */
  create(topic: string, brokers: Iterable<BrokerData>, isRegistered: () => boolean): Promise<void> {
    const already = this.#underWay.get(topic)
    if (already !== undefined) return already
    const isRefused = checkTopicName(topic) !== undefined || isSystemTopic(topic) || isRetryTopic(topic) || isDlqTopic(topic)
    if (isRefused || this.#underWay.size >= TOPIC_CREATIONS_AT_ONCE) return Promise.resolve()
    const masters = [...brokers].flatMap(({ brokerAddrs }) => brokerAddrs[0] ?? [])
    const creation = this.#createOnAll(masters, topic, isRegistered).finally(() => this.#underWay.delete(topic))
    this.#underWay.set(topic, creation)
    return creation
  }

  close(): void {
    this.#client?.close()
  }

  async #createOnAll(masters: readonly string[], topic: string, isRegistered: () => boolean): Promise<void> {
    const { clock } = this.#runtime
    const deadline = clock.monotonic() + TOPIC_CREATION_MS
    const created = await Promise.all(masters.map((address) => this.#createOn(address, topic)))
    // A broker may answer before it has told us of the topic.
    while (created.some(Boolean) && !isRegistered() && clock.monotonic() < deadline) await clock.sleep(REGISTRATION_POLL_MS)
  }

  async #createOn(address: string, topic: string): Promise<boolean> {
    this.#client ??= createRemotingClient({ runtime: this.#runtime })
    const header = {
      topic,
      defaultTopic: 'TBW102',
      readQueueNums: QUEUES,
      writeQueueNums: QUEUES,
      perm: READ_WRITE,
      topicFilterType: 'SINGLE_TAG' as const,
      topicSysFlag: 0,
      order: false,
    }
    try {
      expectSuccess(await this.#client.invoke(address, UpdateAndCreateTopic, header, { timeoutMs: TOPIC_CREATION_MS }))
      return true
    } catch (error) {
      this.#runtime.log.warn('topic not created on demand', { topic, address, error: String(error) })
      return false
    }
  }
}
