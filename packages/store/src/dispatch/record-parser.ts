import { getInt64, javaHashOfUtf8, utf8 } from '../bytes.ts'
import { AT, MAGIC_V2, SYS_FLAG_BORN_HOST_V6, SYS_FLAG_STORE_HOST_V6 } from '../commit-log/record.ts'
import { Topic } from '../consume-queue/topic.ts'
import { recordDigest } from '../digest.ts'
import type { DispatchRecord } from './dispatch-target.ts'

const NAME_END = 1
const VALUE_END = 2
const TAGS = codes('TAGS')
const KEYS = codes('KEYS')
const DELAY = codes('DELAY')
const UNIQ_KEY = codes('UNIQ_KEY')

function codes(text: string): readonly number[] {
  return Array.from(text, (c) => c.charCodeAt(0))
}

function nameIs(name: readonly number[], bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start !== name.length) return false
  for (let i = 0; i < name.length; i++) if (bytes[start + i] !== name[i]) return false
  return true
}

/** Where the topic stands in a record. `undefined` for lengths that contradict each other. */
export function topicRange(
  bytes: Uint8Array,
  view: DataView,
  start: number,
): { start: number; end: number; propertiesAt: number } | undefined {
  const size = view.getInt32(start)
  const sysFlag = view.getInt32(start + AT.sysFlag)
  const end = start + size
  let at = start + AT.bornHost + (sysFlag & SYS_FLAG_BORN_HOST_V6 ? 20 : 8) + 8 + (sysFlag & SYS_FLAG_STORE_HOST_V6 ? 20 : 8) + 12
  if (at + 4 > end) return undefined
  const bodyLength = view.getInt32(at)
  if (bodyLength < 0) return undefined
  at += 4 + bodyLength
  if (at + 2 > end) return undefined
  const long = view.getInt32(start + AT.magic) === MAGIC_V2
  const topicLength = long ? view.getInt16(at) : (bytes[at] as number)
  at += long ? 2 : 1
  if (topicLength <= 0 || at + topicLength + 2 > end) return undefined
  return { start: at, end: at + topicLength, propertiesAt: at + topicLength }
}

export interface TopicLookup {
  /** `hash`: of the name, where it is known. */
  find(bytes: Uint8Array, start: number, end: number, hash?: number): Topic | undefined
  obtain(name: string, createdAt: number): Topic
}

export interface DeletedTopics {
  covers(topic: string, physicalOffset: number): boolean
}

/** Reads from stored records what views need, without a string or an object per record. */
export class RecordParser {
  readonly record: DispatchRecord
  /** The newest record seen, also when it belongs to no view. */
  lastRecordOffset = -1
  secondLastRecordOffset = -1
  private readonly topics: TopicLookup
  private readonly delayLevelsMs: readonly number[]
  private readonly deletions: DeletedTopics
  private delayLevel = 0

  constructor(topics: TopicLookup, delayLevelsMs: readonly number[], deletions: DeletedTopics) {
    this.topics = topics
    this.deletions = deletions
    this.delayLevelsMs = delayLevelsMs
    this.record = {
      bytes: new Uint8Array(0),
      start: 0,
      sizeBytes: 0,
      physicalOffset: 0,
      topic: new Topic('', 0, 0),
      queueId: 0,
      queueOffset: 0,
      sysFlag: 0,
      storeTimestamp: 0,
      tagsCode: 0,
      digest: 0,
      uniqKeyStart: 0,
      uniqKeyEnd: 0,
      keysStart: 0,
      keysEnd: 0,
    }
  }

  /** Fills `record` from the (valid) record at `start`. Undefined for a message of a topic that was deleted since. */
  parse(bytes: Uint8Array, view: DataView, start: number, digest = recordDigest(view, start)): DispatchRecord | undefined {
    const record = this.record
    record.bytes = bytes
    record.start = start
    record.sizeBytes = view.getInt32(start)
    record.queueId = view.getInt32(start + AT.queueId)
    record.queueOffset = getInt64(view, start + AT.queueOffset)
    record.physicalOffset = getInt64(view, start + AT.physicalOffset)
    this.secondLastRecordOffset = this.lastRecordOffset
    this.lastRecordOffset = record.physicalOffset
    record.digest = digest
    const sysFlag = view.getInt32(start + AT.sysFlag)
    record.sysFlag = sysFlag
    let at = start + AT.bornHost + (sysFlag & SYS_FLAG_BORN_HOST_V6 ? 20 : 8)
    record.storeTimestamp = getInt64(view, at)
    at += 8 + (sysFlag & SYS_FLAG_STORE_HOST_V6 ? 20 : 8) + 12
    at += 4 + view.getInt32(at)
    const long = view.getInt32(start + AT.magic) === MAGIC_V2
    const topicLength = long ? view.getInt16(at) : (bytes[at] as number)
    at += long ? 2 : 1
    const topicEnd = at + topicLength
    const topic = this.topics.find(bytes, at, topicEnd) ?? this.meet(bytes, at, topicEnd)
    if (topic === undefined || record.physicalOffset < topic.createdAt) return undefined
    record.topic = topic
    this.scanProperties(bytes, topicEnd + 2, topicEnd + 2 + view.getInt16(topicEnd))
    return this.withDeliveryTime(record)
  }

  /** A topic that is not known yet; undefined when it was deleted since. */
  private meet(bytes: Uint8Array, start: number, end: number): Topic | undefined {
    const name = utf8.decode(bytes.subarray(start, end))
    const { physicalOffset } = this.record
    return this.deletions.covers(name, physicalOffset) ? undefined : this.topics.obtain(name, physicalOffset)
  }

  private withDeliveryTime(record: DispatchRecord): DispatchRecord {
    // RocketMQ CommitLog#checkMessageAndReturnSize: entries of the schedule topic carry the delivery time; levels above the last count as it.
    if (this.delayLevel > 0 && record.topic.isSchedule && this.delayLevelsMs.length > 0) {
      const level = Math.min(this.delayLevel, this.delayLevelsMs.length)
      record.tagsCode = record.storeTimestamp + (this.delayLevelsMs[level - 1] as number)
    }
    return record
  }

  private scanProperties(bytes: Uint8Array, from: number, end: number): void {
    const record = this.record
    record.tagsCode = 0
    record.uniqKeyStart = record.uniqKeyEnd = record.keysStart = record.keysEnd = 0
    this.delayLevel = 0
    let at = from
    while (at < end) {
      let nameEnd = at
      while (nameEnd < end && bytes[nameEnd] !== NAME_END && bytes[nameEnd] !== VALUE_END) nameEnd++
      let valueEnd = nameEnd
      while (valueEnd < end && bytes[valueEnd] !== VALUE_END) valueEnd++
      if (nameEnd < valueEnd) this.take(bytes, at, nameEnd, nameEnd + 1, valueEnd)
      at = valueEnd + 1
    }
  }

  private take(bytes: Uint8Array, name: number, nameEnd: number, value: number, valueEnd: number): void {
    const record = this.record
    const length = nameEnd - name
    if (length === 4) {
      if (nameIs(TAGS, bytes, name, nameEnd)) record.tagsCode = javaHashOfUtf8(bytes, value, valueEnd, 0)
      else if (nameIs(KEYS, bytes, name, nameEnd)) {
        record.keysStart = value
        record.keysEnd = valueEnd
      }
    } else if (length === 8 && nameIs(UNIQ_KEY, bytes, name, nameEnd)) {
      record.uniqKeyStart = value
      record.uniqKeyEnd = valueEnd
    } else if (length === 5 && nameIs(DELAY, bytes, name, nameEnd)) this.delayLevel = wholeNumber(bytes, value, valueEnd)
  }
}

function wholeNumber(bytes: Uint8Array, start: number, end: number): number {
  let value = 0
  for (let i = start; i < end; i++) {
    const digit = (bytes[i] as number) - 48
    if (digit < 0 || digit > 9 || value > 100_000) return 0
    value = value * 10 + digit
  }
  return value
}
