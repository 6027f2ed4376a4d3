import { PROTOCOL_VERSION, SCANNED } from '@skylarkmq/remoting/protocol'

const QUEUE_ID_LABEL = '","queueId":"'
/** Hexadecimal digits of the physical offset behind the store's address in an offset message id. */
const OFFSET_DIGITS = 16
/** The kernel writes whole words. */
const SLACK_BYTES = 8

/** Beside the texts: digits and the transaction id. */
export const REPLY_BYTES_MAX = SCANNED.replyVariableBytes + SLACK_BYTES

/** What the answer of a stored message says between its numbers, as the declared encoder writes it; in the order of the kernel's layout. */
export function replyTexts(
  storeHost: Uint8Array,
  config: { readonly regionId: string; readonly traceOn: boolean },
): { readonly texts: readonly Buffer[]; readonly labelLength: number } {
  const host = Buffer.from(storeHost).toString('hex').toUpperCase()
  const rest = `","MSG_REGION":${JSON.stringify(config.regionId)},"TRACE_ON":"${config.traceOn}"}`
  const texts = [
    `\0\0\0\0\0\0\0\0{"code":0,"extFields":{"msgId":"${host}${'0'.repeat(OFFSET_DIGITS)}${QUEUE_ID_LABEL}`,
    '","queueOffset":"',
    '","transactionId":"',
    `${rest},"flag":1,"language":"JAVA","opaque":`,
    `,"serializeTypeCurrentRPC":"JSON","version":${PROTOCOL_VERSION}}`,
  ]
  return { texts: texts.map((text) => Buffer.from(text)), labelLength: QUEUE_ID_LABEL.length }
}
