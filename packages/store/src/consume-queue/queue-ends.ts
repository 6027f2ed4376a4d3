import type { Disk } from '@skylarkmq/runtime'
import { checkedJson, withCheck } from '../checked-text.ts'
import type { ConsumeQueue } from './consume-queue.ts'
import type { ConsumeQueues } from './consume-queues.ts'

/** Topic → queue → first free offset. */
type Ends = Map<string, Map<number, number>>

/**
 * How far queues had come of which the log has no message left: their files know it, but when all views are made anew the log does not
 * tell. Without it such a queue would begin at 0 again, and who has consumed it would pass over what comes. Kept outside the views' folder.
 * An end stays when messages come again (they may be lost with the power that they were not flushed for), and goes with its topic.
 */
export class QueueEnds {
  /** The file was damaged: what it knew, only the views know. */
  readonly isDamaged: boolean
  private readonly disk: Disk
  private readonly path: string
  private readonly ends: Ends
  /** Beginning of the log when everything was last on file. */
  private savedAt = -1
  private isUnsaved: boolean

  constructor(disk: Disk, path: string) {
    this.disk = disk
    this.path = path
    const text = disk.readText(path)
    const ends = text === undefined ? new Map() : parse(text)
    this.isDamaged = ends === undefined
    this.ends = ends ?? new Map()
    this.isUnsaved = this.isDamaged
  }

  /** Queues go on where they were, when nothing else tells. */
  resume(queues: ConsumeQueues, logEnd: number): void {
    for (const [topic, ends] of this.ends) {
      for (const [queueId, end] of ends) {
        if ((queues.find(topic, queueId)?.maxOffset ?? 0) < end) queues.obtain(queues.topics.obtain(topic, logEnd), queueId).resume(end)
      }
    }
  }

  /** Looks for queues whose last message the log has lost with its beginning. Throws what the disk threw; then it is still to be done. */
  save(queues: ConsumeQueues, logBegin: number): void {
    if (logBegin === this.savedAt) return
    for (const topic of queues.topics.values()) for (const queue of topic.queues) this.learn(queue, logBegin)
    this.write()
    this.savedAt = logBegin
  }

  private learn({ topic, queueId, newestEnd, maxOffset }: ConsumeQueue, logBegin: number): void {
    if (newestEnd > logBegin || (this.ends.get(topic.name)?.get(queueId) ?? 0) >= maxOffset) return
    const ends = this.ends.get(topic.name) ?? new Map<number, number>()
    this.ends.set(topic.name, ends.set(queueId, maxOffset))
    this.isUnsaved = true
  }

  /** The topic is to be deleted: one of its name begins anew. */
  forget(topic: string): void {
    if (this.ends.delete(topic)) this.isUnsaved = true
    // Found on file by a start, it would bring the topic back.
    this.write()
  }

  private write(): void {
    if (!this.isUnsaved) return
    const text = JSON.stringify(Object.fromEntries([...this.ends].map(([topic, ends]) => [topic, Object.fromEntries(ends)])))
    this.disk.writeTextAtomically(this.path, withCheck(text))
    this.isUnsaved = false
  }
}

function parse(text: string): Ends | undefined {
  const json = checkedJson(text)
  if (json === undefined) return undefined
  const all = JSON.parse(json) as Record<string, Record<string, number>>
  return new Map(
    Object.entries(all).map(([topic, ends]) => [topic, new Map(Object.entries(ends).map(([queueId, end]) => [Number(queueId), end]))]),
  )
}
