import { javaHashOfText } from '../bytes.ts'
import type { ConsumeQueue } from './consume-queue.ts'

const SCHEDULE_TOPIC = 'SCHEDULE_TOPIC_XXXX'
const utf8 = new TextEncoder()

/** One topic of the store: its name in the forms that the hot path needs, and its queues. */
export class Topic {
  readonly name: string
  readonly bytes: Uint8Array
  /** Number of the topic in the views' files. A topic that is deleted and made again gets a new one. */
  readonly id: number
  /** Log position at which it first appeared: tells it from an older one of the same name. */
  readonly createdAt: number
  readonly isSchedule: boolean
  /** Java's hash of `topic#`, from which the hashes of keys go on. */
  readonly keyHashSeed: number
  readonly queues = new Map<number, ConsumeQueue>()

  constructor(name: string, id: number, createdAt: number) {
    this.name = name
    this.bytes = utf8.encode(name)
    this.id = id
    this.createdAt = createdAt
    this.isSchedule = name === SCHEDULE_TOPIC
    this.keyHashSeed = javaHashOfText(`${name}#`)
  }
}
