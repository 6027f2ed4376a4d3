import { RETRY_PREFIX } from '@skylarkmq/remoting/protocol'
import { isCompacted } from '../topics/topic-attributes.ts'
import type { TopicConfigs } from '../topics/topic-configs.ts'
import { equalBytes } from './plain-properties.ts'
import { isClosedToSends } from './send-checks.ts'

const TOPICS_MAX = 65_536

export interface KnownTopic {
  readonly bytes: Uint8Array
  readonly name: string
  readonly queues: number
}

/** Topics by the hash and the bytes of their name, so that a send makes no string. Forgotten whenever a topic changes. */
export class KnownTopics {
  readonly #topics: TopicConfigs
  readonly #slots = new Map<number, KnownTopic>()

  constructor(topics: TopicConfigs) {
    this.#topics = topics
    topics.onChange(() => this.#slots.clear())
  }

  find(hash: number, bytes: Uint8Array, start: number, end: number): KnownTopic | undefined {
    const known = this.#slots.get(hash)
    if (known !== undefined && equalBytes(known.bytes, bytes, start, end)) return known
    return this.#learn(hash, Buffer.from(bytes.subarray(start, end)))
  }

  #learn(hash: number, bytes: Buffer): KnownTopic | undefined {
    const name = bytes.toString('utf8')
    const config = this.#topics.get(name)
    if (config === undefined || config.order || isCompacted(config) || isClosedToSends(name) || name.startsWith(RETRY_PREFIX))
      return undefined
    const known = { bytes, name, queues: Math.max(config.writeQueueNums, config.readQueueNums) }
    if (this.#slots.size >= TOPICS_MAX) this.#slots.clear()
    this.#slots.set(hash, known)
    return known
  }
}
