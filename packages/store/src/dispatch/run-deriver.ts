import { DERIVED, DERIVED_STOP } from '@skylarkmq/remoting/protocol'
import type { Derivation, Kernel } from '@skylarkmq/remoting/protocol'
import type { ClockSteps } from '../clock-steps.ts'
import type { RecordJournal } from '../commit-log/record-journal.ts'
import type { ConsumeQueues } from '../consume-queue/consume-queues.ts'
import type { Topic } from '../consume-queue/topic.ts'
import type { KeyIndex } from '../index/key-index.ts'
import type { RecordParser } from './record-parser.ts'

/** The views of which the kernel derives runs, and who tells of the newest record. */
export interface DerivedViews {
  readonly queues: ConsumeQueues
  readonly index: KeyIndex
  readonly clockSteps: ClockSteps
  readonly journal: RecordJournal
  readonly parser: RecordParser
}

/**
 * Has the kernel derive what the views hold of whole runs of records in the ring, and puts it away. What must hold: afterwards all is as
 * if each record had been parsed and dispatched; `derive.property.test.ts` holds both equal.
 */
export class RunDeriver {
  private readonly kernel: Kernel
  private readonly run: Derivation
  private readonly views: DerivedViews
  /** Those that the kernel knows, by slot. */
  private readonly topics: (Topic | undefined)[] = []
  private topicsVersion = 0

  constructor(kernel: Kernel, run: Derivation, views: DerivedViews) {
    this.kernel = kernel
    this.run = run
    this.views = views
  }

  /** Takes the records in `ring[start, end)` up to the first that must be dispatched, or is not whole. Bytes taken. */
  take(start: number, end: number): number {
    const { run, views } = this
    const { calls, ringAt } = this.kernel
    if (views.queues.topics.version !== this.topicsVersion) this.forgetTopics()
    let at = ringAt + start
    for (;;) {
      views.index.beginRun(run)
      views.clockSteps.beginRun(run)
      views.journal.beginRun(run)
      const count = calls.deriveRun(at, ringAt + end)
      if (count > 0) {
        at = run.words[DERIVED.endAt] as number
        this.putAway(count)
      }
      const stop = run.words[DERIVED.stop]
      const goesOn = stop === DERIVED_STOP.entriesFull || (stop === DERIVED_STOP.topic && this.introduceTopic())
      if (!goesOn) return at - ringAt - start
    }
  }

  /** Of the record at `start` of the ring. */
  digestOf(start: number): number {
    return this.kernel.calls.recordDigest(this.kernel.ringAt + start)
  }

  private putAway(count: number): void {
    const { run, views } = this
    const { parser } = views
    parser.secondLastRecordOffset = count > 1 ? (run.numbers[DERIVED.secondLastOffset] as number) : parser.lastRecordOffset
    parser.lastRecordOffset = run.numbers[DERIVED.lastOffset] as number
    // First what cannot fail, since the kernel has put it in its place already.
    views.index.endRun(run)
    views.clockSteps.endRun(run)
    views.journal.endRun(run)
    views.queues.endRun(run, this.topics)
  }

  /** Makes the topic known that the run has met. False: its records are dispatched one by one. */
  private introduceTopic(): boolean {
    const { run } = this
    const { ring, ringAt } = this.kernel
    const start = (run.words[DERIVED.missedTopicAt] as number) - ringAt
    const end = start + (run.words[DERIVED.missedTopicLength] as number)
    const topic = this.views.queues.topics.find(ring, start, end, run.words[DERIVED.missedTopicHash])
    // The entries of the schedule topic carry delivery times.
    if (topic === undefined || topic.isSchedule) return false
    const slot = run.words[DERIVED.missedTopicSlot] as number
    if (!run.setTopic(slot, topic)) return false
    this.topics[slot] = topic
    return true
  }

  private forgetTopics(): void {
    this.topicsVersion = this.views.queues.topics.version
    this.topics.length = 0
    this.run.forgetTopics()
  }
}
