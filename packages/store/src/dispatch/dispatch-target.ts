import type { Derivation } from '@skylarkmq/remoting/protocol'
import type { Topic } from '../consume-queue/topic.ts'

/** What a view needs of one stored record. The object is reused: nothing of it may be kept. */
export interface DispatchRecord {
  bytes: Uint8Array
  /** Start of the record in `bytes`. */
  start: number
  sizeBytes: number
  physicalOffset: number
  topic: Topic
  queueId: number
  queueOffset: number
  sysFlag: number
  storeTimestamp: number
  /** As it stands in the consume queue: hash of the tag, or delivery time in the schedule topic. */
  tagsCode: number
  /** Of all but the body. */
  digest: number
  /** Ranges of `bytes`; empty when the property is missing. */
  uniqKeyStart: number
  uniqKeyEnd: number
  keysStart: number
  keysEnd: number
}

/** Something derived from the log, record by record, in order. Deletable: it is derived again. */
export interface DispatchTarget {
  dispatch(record: DispatchRecord): void
}

/** One of which the kernel derives runs of records. */
export interface RunTarget extends DispatchTarget {
  /** Tells the kernel how far it is and what there is room for. */
  beginRun(run: Derivation): void
  /** Takes up what the kernel has derived. */
  endRun(run: Derivation): void
}
