import {
  DEFAULT_TOPIC,
  PERM,
  checkTopicName,
  encodeJson,
  isDlqTopic,
  isInherited,
  isRetryTopic,
  normalizeTopicConfig,
} from '@skylarkmq/remoting/protocol'
import type { DataVersion, TopicConfig } from '@skylarkmq/remoting/protocol'
import type { Clock } from '@skylarkmq/runtime'
import type { MetadataStore } from '@skylarkmq/store'

const VERSION_KEY = 'topicDataVersion'
/** Of a topic that was deleted: its messages, still in the log, do not bring it back. */
const deletedKey = (topic: string): string => `deletedTopic:${topic}`

export type TopicChange = (topic: string, config: TopicConfig | undefined) => void

/** The topics of this broker and their settings. The version tells NameServers that something changed. */
export class TopicConfigs {
  readonly #topics = new Map<string, TopicConfig>()
  readonly #system = new Set<string>()
  readonly #metadata: MetadataStore
  readonly #clock: Clock
  readonly #listeners: TopicChange[] = []
  #version: DataVersion

  constructor(metadata: MetadataStore, clock: Clock) {
    this.#metadata = metadata
    this.#clock = clock
    for (const [topic, text] of metadata.entries('topics')) this.#topics.set(topic, normalizeTopicConfig(JSON.parse(text)))
    const version = metadata.get('kv', VERSION_KEY)
    this.#version = version === undefined ? { stateVersion: 0, timestamp: clock.now(), counter: 0 } : (JSON.parse(version) as DataVersion)
  }

  get version(): DataVersion {
    return this.#version
  }

  /** What the broker made for itself at its start. */
  get systemTopics(): ReadonlySet<string> {
    return this.#system
  }

  get size(): number {
    return this.#topics.size
  }

  get(topic: string): TopicConfig | undefined {
    return this.#topics.get(topic)
  }

  all(): IterableIterator<TopicConfig> {
    return this.#topics.values()
  }

  onChange(listener: TopicChange): void {
    this.#listeners.push(listener)
  }

  /** Creates or replaces. Nothing happens when it is the same already. */
  set(config: TopicConfig): void {
    const text = textOf(config)
    const old = this.#topics.get(config.topicName)
    if (old !== undefined && textOf(old) === text) return
    this.#topics.set(config.topicName, config)
    this.#metadata.set('topics', config.topicName, text)
    if (this.#metadata.get('kv', deletedKey(config.topicName)) !== undefined) {
      this.#metadata.delete('kv', deletedKey(config.topicName))
      // At once: a crash now must not leave the mark beside new messages.
      this.#metadata.flush()
    }
    this.#changed(config.topicName, config)
  }

  /**
   * Settings are saved within a second, messages are acknowledged at once: after a crash the log may hold messages of a topic whose
   * settings were lost. It gets settings again. Returns how many did.
   */
  recover(queues: ReadonlyMap<string, readonly number[]>, defaultQueues: number): number {
    let count = 0
    for (const [topic, queueIds] of queues) {
      if (this.#topics.has(topic) || queueIds.length === 0 || checkTopicName(topic) !== undefined) continue
      if (this.#metadata.get('kv', deletedKey(topic)) !== undefined) continue
      const least = isRetryTopic(topic) || isDlqTopic(topic) ? 1 : defaultQueues
      this.ensure(topic, Math.max(least, ...queueIds.map((queueId) => queueId + 1)))
      count++
    }
    return count
  }

  /** A topic of the broker itself: made when missing; what an operator changed stays. */
  addSystem(topicName: string, queues: number, perm: number = PERM.READ | PERM.WRITE): void {
    this.#system.add(topicName)
    if (!this.#topics.has(topicName)) this.set(plainTopic(topicName, queues, perm))
  }

  delete(topic: string): boolean {
    if (!this.#topics.delete(topic)) return false
    this.#metadata.delete('topics', topic)
    this.#metadata.set('kv', deletedKey(topic), '1')
    this.#changed(topic, undefined)
    return true
  }

  /** The topic, made with these queues when it is missing: retry and dead-letter topics. */
  ensure(topicName: string, queues: number, topicSysFlag = 0): TopicConfig {
    const old = this.#topics.get(topicName)
    if (old !== undefined) return old
    const config = { ...plainTopic(topicName, queues, PERM.READ | PERM.WRITE), topicSysFlag }
    this.set(config)
    return config
  }

  /**
   * The topic that a send creates, copied from the default topic that the producer names (RocketMQ 5.3
   * `TopicConfigManager#createTopicInSendMessageMethod`). Undefined when that one is missing or does not hand on its settings.
   */
  createFromDefault(
    topicName: string,
    defaultTopic: string | undefined,
    clientQueues: number | undefined,
    sysFlag: number,
  ): TopicConfig | undefined {
    const source = this.#topics.get(defaultTopic || DEFAULT_TOPIC)
    if (source === undefined || !isInherited(source.perm)) return undefined
    const queues = Math.max(1, Math.min(clientQueues ?? source.writeQueueNums, source.writeQueueNums))
    const config = {
      ...plainTopic(topicName, queues, source.perm & ~PERM.INHERIT),
      topicFilterType: source.topicFilterType,
      topicSysFlag: sysFlag,
    }
    this.set(config)
    return config
  }

  /** Something beside the topics changed what NameServers are told: all is told anew. */
  touch(): void {
    this.#bump()
    for (const config of this.#topics.values()) for (const listener of this.#listeners) listener(config.topicName, config)
  }

  #changed(topic: string, config: TopicConfig | undefined): void {
    this.#bump()
    for (const listener of this.#listeners) listener(topic, config)
  }

  #bump(): void {
    this.#version = { ...this.#version, timestamp: this.#clock.now(), counter: this.#version.counter + 1 }
    this.#metadata.set('kv', VERSION_KEY, JSON.stringify(this.#version))
  }
}

export const plainTopic = (topicName: string, queues: number, perm: number): TopicConfig => ({
  topicName,
  readQueueNums: queues,
  writeQueueNums: queues,
  perm,
  topicFilterType: 'SINGLE_TAG',
  topicSysFlag: 0,
  order: false,
  attributes: {},
})

const textOf = (config: TopicConfig): string => encodeJson(config).toString()
