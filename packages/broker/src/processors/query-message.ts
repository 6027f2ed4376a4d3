import { KEY_SEPARATOR, PROPERTY, decodeRecord, javaStringHash } from '@skylarkmq/remoting/protocol'
import type { QueryMessage, RequestOf, ResponseOf, StoredMessage, ViewMessageById } from '@skylarkmq/remoting/protocol'
import type { Reply } from '@skylarkmq/remoting'
import type { MessageStore } from '@skylarkmq/store'
import { plain, refuse } from '../answers.ts'
import type { Settings } from '../config.ts'
import { LIMITS } from '../limits.ts'

export interface QueryDeps {
  readonly store: MessageStore
  readonly settings: Settings
}

/** Messages by key. The index knows hashes only, so each record's real key is compared here. */
export function queryMessage({ store, settings }: QueryDeps) {
  return (
    header: RequestOf<typeof QueryMessage>,
  ): Reply<ResponseOf<typeof QueryMessage>> | Promise<Reply<ResponseOf<typeof QueryMessage>>> => {
    if (header.indexType === 'T') return queryByTag(store, header, atMost(settings, header.maxNum))
    const isUnique = header._UNIQUE_KEY_QUERY === true
    const wanted = isUnique ? settings.current.defaultQueryMaxNum : header.maxNum
    const max = atMost(settings, wanted)
    const range = { max, beginMs: header.beginTimestamp, endMs: header.endTimestamp }
    const bodies: Uint8Array[] = []
    let bytes = 0
    let newest = { timestamp: 0, offset: 0 }
    for (const position of store.queryByKey(header.topic, header.key, range)) {
      const record = store.readRecordAt(position)
      const message = record === undefined ? undefined : decodeRecord(record, 0)
      if (record === undefined || message === undefined || message.topic !== header.topic || !hasKey(message, header.key, isUnique))
        continue
      if (bodies.length > 0 && bytes + record.length > LIMITS.queryBytes) break
      bodies.push(record)
      bytes += record.length
      if (message.storeTimestamp >= newest.timestamp) newest = { timestamp: message.storeTimestamp, offset: message.physicalOffset }
      if (bodies.length >= max) break
    }
    const answerHeader = { indexLastUpdateTimestamp: newest.timestamp, indexLastUpdatePhyoffset: newest.offset }
    if (bodies.length > 0) return { code: 0, header: answerHeader, body: bodies }
    const remark = `can not find message, maybe time range not correct: topic ${plain(header.topic)}, key ${plain(header.key)}`
    return { ...refuse('QUERY_NOT_FOUND', remark), header: answerHeader }
  }
}

/** Whatever is asked for (RocketMQ 5.3 `DefaultMessageStore#queryMessage`). */
const atMost = (settings: Settings, wanted: number): number => Math.max(1, Math.min(wanted, settings.current.maxMsgsNumBatch))

/** RocketMQ 5.5 indexes tags; here the queues know them by hash already. Oldest first, queue by queue. */
async function queryByTag(
  store: MessageStore,
  header: RequestOf<typeof QueryMessage>,
  max: number,
): Promise<Reply<ResponseOf<typeof QueryMessage>>> {
  const { topic, key: tag, beginTimestamp, endTimestamp } = header
  const code = javaStringHash(tag)
  const found: StoredMessage[] = []
  const bodies: Uint8Array[] = []
  let bytes = 0
  for (const queueId of store.queues().get(topic) ?? []) {
    let offset = store.offsetByTime(topic, queueId, beginTimestamp, 'lower')
    while (found.length < max && bytes < LIMITS.queryBytes) {
      const maxBytes = LIMITS.queryBytes - bytes
      const entryFilter = (tagsCode: number) => tagsCode === code
      const read = await store.read({ topic, queueId, offset, maxMessages: max - found.length, maxBytes, entryFilter })
      for (const { record, message } of recordsIn(read.body)) {
        if (message.properties.get(PROPERTY.TAGS) !== tag || message.storeTimestamp > endTimestamp) continue
        found.push(message)
        bodies.push(record)
        bytes += record.length
      }
      if (read.nextOffset <= offset || read.nextOffset >= read.maxOffset) break
      offset = read.nextOffset
    }
  }
  const newest = found.reduce((a, b) => (b.storeTimestamp >= a.storeTimestamp ? b : a), found[0] as StoredMessage)
  const answerHeader = { indexLastUpdateTimestamp: newest?.storeTimestamp ?? 0, indexLastUpdatePhyoffset: newest?.physicalOffset ?? 0 }
  if (found.length > 0) return { code: 0, header: answerHeader, body: bodies }
  const remark = `can not find message, maybe time range not correct: topic ${plain(topic)}, tag ${plain(tag)}`
  return { ...refuse('QUERY_NOT_FOUND', remark), header: answerHeader }
}

function* recordsIn(bytes: Uint8Array): Generator<{ readonly record: Uint8Array; readonly message: StoredMessage }> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let at = 0; at < bytes.length; at += view.getInt32(at)) {
    const record = bytes.subarray(at, at + view.getInt32(at))
    const message = decodeRecord(record, 0)
    if (message !== undefined) yield { record, message }
  }
}

function hasKey(message: StoredMessage, key: string, isUnique: boolean): boolean {
  if (message.properties.get(PROPERTY.UNIQ_KEY) === key) return true
  return !isUnique && (message.properties.get(PROPERTY.KEYS)?.split(KEY_SEPARATOR).includes(key) ?? false)
}

/** The message whose record begins at an offset: the second half of an offset message id. */
export function viewMessageById({ store }: Pick<QueryDeps, 'store'>) {
  return ({ offset }: RequestOf<typeof ViewMessageById>): Reply<never> => {
    const record = offset >= 0 ? store.readRecordAt(offset) : undefined
    if (record !== undefined) return { code: 0, body: record }
    return refuse('SYSTEM_ERROR', `can not find message by the offset, ${offset}: no message begins there`)
  }
}
