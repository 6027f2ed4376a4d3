import { javaHashOfText } from '../bytes.ts'
import type { ConsumeQueue } from './consume-queue.ts'

const SCHEDULE_TOPIC = 'SCHEDULE_TOPIC_XXXX'
const utf8 = new TextEncoder()
/** Queues with ids below this are found by place. */
const PLACES = 16_384

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
  private readonly byId = new Map<number, ConsumeQueue>()
  /** The same, by place: entries of a map lie anywhere in memory, and of ten thousand queues each is out of the cache when its turn comes. */
  private readonly places: (ConsumeQueue | undefined)[] = []

  constructor(name: string, id: number, createdAt: number) {
    this.name = name
    this.bytes = utf8.encode(name)
    this.id = id
    this.createdAt = createdAt
    this.isSchedule = name === SCHEDULE_TOPIC
    this.keyHashSeed = javaHashOfText(`${name}#`)
  }

  get queues(): Iterable<ConsumeQueue> {
    return this.byId.values()
  }

  get queueCount(): number {
    return this.byId.size
  }

  queue(queueId: number): ConsumeQueue | undefined {
    return queueId >>> 0 < PLACES ? this.places[queueId] : this.byId.get(queueId)
  }

  addQueue(queue: ConsumeQueue): void {
    const { queueId } = queue
    this.byId.set(queueId, queue)
    if (queueId >>> 0 >= PLACES) return
    while (this.places.length <= queueId) this.places.push(undefined)
    this.places[queueId] = queue
  }

  forgetQueues(): void {
    this.byId.clear()
    this.places.length = 0
  }
}
