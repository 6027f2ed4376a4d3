import { RocketError } from '../rocket-error.ts'

/** Names of message properties (RocketMQ 5.3 `MessageConst`). */
export const PROPERTY = Object.freeze({
  KEYS: 'KEYS',
  TAGS: 'TAGS',
  WAIT: 'WAIT',
  DELAY: 'DELAY',
  RETRY_TOPIC: 'RETRY_TOPIC',
  REAL_TOPIC: 'REAL_TOPIC',
  REAL_QID: 'REAL_QID',
  TRAN_MSG: 'TRAN_MSG',
  PGROUP: 'PGROUP',
  MIN_OFFSET: 'MIN_OFFSET',
  MAX_OFFSET: 'MAX_OFFSET',
  BUYER_ID: 'BUYER_ID',
  ORIGIN_MESSAGE_ID: 'ORIGIN_MESSAGE_ID',
  TRANSFER_FLAG: 'TRANSFER_FLAG',
  CORRECTION_FLAG: 'CORRECTION_FLAG',
  MQ2_FLAG: 'MQ2_FLAG',
  RECONSUME_TIME: 'RECONSUME_TIME',
  MSG_REGION: 'MSG_REGION',
  TRACE_ON: 'TRACE_ON',
  UNIQ_KEY: 'UNIQ_KEY',
  EXTEND_UNIQ_INFO: 'EXTEND_UNIQ_INFO',
  MAX_RECONSUME_TIMES: 'MAX_RECONSUME_TIMES',
  CONSUME_START_TIME: 'CONSUME_START_TIME',
  INNER_NUM: 'INNER_NUM',
  INNER_BASE: 'INNER_BASE',
  DUP_INFO: 'DUP_INFO',
  CHECK_IMMUNITY_TIME_IN_SECONDS: 'CHECK_IMMUNITY_TIME_IN_SECONDS',
  TRAN_PREPARED_QUEUE_OFFSET: 'TRAN_PREPARED_QUEUE_OFFSET',
  TRANSACTION_ID: '__transactionId__',
  TRANSACTION_CHECK_TIMES: 'TRANSACTION_CHECK_TIMES',
  INSTANCE_ID: 'INSTANCE_ID',
  CORRELATION_ID: 'CORRELATION_ID',
  REPLY_TO_CLIENT: 'REPLY_TO_CLIENT',
  TTL: 'TTL',
  ARRIVE_TIME: 'ARRIVE_TIME',
  PUSH_REPLY_TIME: 'PUSH_REPLY_TIME',
  CLUSTER: 'CLUSTER',
  MSG_TYPE: 'MSG_TYPE',
  POP_CK: 'POP_CK',
  POP_CK_OFFSET: 'POP_CK_OFFSET',
  FIRST_POP_TIME: '1ST_POP_TIME',
  SHARDING_KEY: '__SHARDINGKEY',
  FORWARD_QUEUE_ID: 'PROPERTY_FORWARD_QUEUE_ID',
  REDIRECT: 'REDIRECT',
  INNER_MULTI_DISPATCH: 'INNER_MULTI_DISPATCH',
  INNER_MULTI_QUEUE_OFFSET: 'INNER_MULTI_QUEUE_OFFSET',
  TRACE_CONTEXT: 'TRACE_CONTEXT',
  TIMER_DELAY_SEC: 'TIMER_DELAY_SEC',
  TIMER_DELIVER_MS: 'TIMER_DELIVER_MS',
  TIMER_DELAY_MS: 'TIMER_DELAY_MS',
  TIMER_ENQUEUE_MS: 'TIMER_ENQUEUE_MS',
  TIMER_DEQUEUE_MS: 'TIMER_DEQUEUE_MS',
  TIMER_ROLL_TIMES: 'TIMER_ROLL_TIMES',
  TIMER_OUT_MS: 'TIMER_OUT_MS',
  TIMER_DEL_UNIQKEY: 'TIMER_DEL_UNIQKEY',
  TIMER_DELAY_LEVEL: 'TIMER_DELAY_LEVEL',
  BORN_HOST: '__BORNHOST',
  BORN_TIMESTAMP: 'BORN_TIMESTAMP',
  DLQ_ORIGIN_TOPIC: 'DLQ_ORIGIN_TOPIC',
  DLQ_ORIGIN_MESSAGE_ID: 'DLQ_ORIGIN_MESSAGE_ID',
  /** How urgent the message is, from 0 on (RocketMQ 5.4). */
  PRIORITY: '_SYS_MSG_PRIORITY_',
  CRC32: '__CRC32#',
  /** Absolute delivery time in ms, of the Aliyun clients (JavaScript `ali-ons`). */
  START_DELIVER_TIME: '__STARTDELIVERTIME',
})

/** What `KEYS` separates its keys with. */
export const KEY_SEPARATOR = ' '
export const NAME_END = '\u0001'
export const PROPERTY_END = '\u0002'
/** The property text's length is a signed 16-bit number in the record. */
export const PROPERTIES_MAX_BYTES = 32767

/** Names that an application may not set itself: every one above but these, which are its own to choose. */
const OPEN_TO_APPLICATIONS: ReadonlySet<string> = new Set([
  PROPERTY.MSG_REGION,
  PROPERTY.PRIORITY,
  PROPERTY.SHARDING_KEY,
  PROPERTY.START_DELIVER_TIME,
  PROPERTY.TRACE_CONTEXT,
])
const RESERVED: ReadonlySet<string> = new Set(Object.values(PROPERTY).filter((name) => !OPEN_TO_APPLICATIONS.has(name)))
export const isReservedProperty = (name: string): boolean => RESERVED.has(name)

/**
 * Reads `name \u0001 value \u0002 …`; the last \u0002 may be missing. A pair without a name or a value is skipped; of equal names the
 * last one counts; a value may contain \u0001 (RocketMQ 5.3 `MessageDecoder#string2messageProperties`).
 */
export function parseProperties(text: string): Map<string, string> {
  const properties = new Map<string, string>()
  let start = 0
  while (start < text.length) {
    let end = text.indexOf(PROPERTY_END, start)
    if (end < 0) end = text.length
    // Looked for inside the pair only: a text of many pairs without \u0001 would cost its length squared.
    const pair = text.slice(start, end)
    const split = pair.indexOf(NAME_END)
    if (split > 0 && split < pair.length - 1) properties.set(pair.slice(0, split), pair.slice(split + 1))
    start = end + 1
  }
  return properties
}

/**
 * The property text of these entries, ending in \u0002. Entries without a name or a value are left out, as no reader would see them.
 * A name or value that would be read back as another one is refused.
 */
export function formatProperties(entries: Iterable<readonly [string, string | undefined]>): string {
  let text = ''
  for (const [name, value] of entries) text += formatProperty(name, value)
  return text
}

/** One of them; empty without a name or a value. */
export function formatProperty(name: string, value: string | undefined): string {
  if (name === '' || value === undefined || value === '') return ''
  if (name.includes(NAME_END) || name.includes(PROPERTY_END) || value.includes(PROPERTY_END)) {
    throw new RocketError(
      `the message property ${JSON.stringify(name)} contains a control character U+0001 or U+0002, which separate properties; remove it`,
      { code: 'MESSAGE_ILLEGAL', brokerCode: 13 },
    )
  }
  return name + NAME_END + value + PROPERTY_END
}
