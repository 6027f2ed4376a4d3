import type { StoredMessage } from '@skylarkmq/remoting/protocol'
import { copyOfRecord, decodeClientBatch, decompressBody, parseProperties, SYS_FLAG } from '@skylarkmq/remoting/protocol'

const IS_INNER_BATCH = SYS_FLAG.NEED_UNWRAP | SYS_FLAG.INNER_BATCH

/**
 * A record may hold a whole batch under consecutive queue offsets (batch consume queues of RocketMQ 5, `MessageDecoder#decodeMessage`):
 * its messages take the record's hosts and times. Any other record, and a batch that cannot be taken apart, is given back as it is.
 */
export function unwrapBatch(record: StoredMessage): readonly StoredMessage[] {
  if ((record.sysFlag & IS_INNER_BATCH) !== IS_INNER_BATCH) return [record]
  let messages: ReturnType<typeof decodeClientBatch>
  try {
    messages = decodeClientBatch((record.sysFlag & SYS_FLAG.COMPRESSED) !== 0 ? decompressBody(record.body, record.sysFlag) : record.body)
  } catch {
    return [record]
  }
  const outer = copyOfRecord(record)
  return messages.map((inner, i) => {
    const propertiesText = Buffer.from(inner.properties).toString('utf8')
    return {
      ...outer,
      flag: inner.flag,
      sysFlag: record.sysFlag & ~(IS_INNER_BATCH | SYS_FLAG.COMPRESSED | SYS_FLAG.COMPRESSION_MASK),
      queueOffset: record.queueOffset + i,
      body: inner.body,
      properties: parseProperties(propertiesText),
      propertiesText,
    }
  })
}
