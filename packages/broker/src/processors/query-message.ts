import { KEY_SEPARATOR, PROPERTY, decodeRecord } from '@skylarkmq/remoting/protocol'
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
  return (header: RequestOf<typeof QueryMessage>): Reply<ResponseOf<typeof QueryMessage>> => {
    const isUnique = header._UNIQUE_KEY_QUERY === true
    const wanted = isUnique ? settings.current.defaultQueryMaxNum : header.maxNum
    const max = Math.max(1, Math.min(wanted, LIMITS.queryMessages))
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
