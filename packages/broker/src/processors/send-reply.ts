import { PROTOCOL_VERSION, SCANNED, SERIALIZE_ROCKETMQ, SLOT, encodeFrameHead } from '@skylarkmq/remoting/protocol'
import type { Kernel } from '@skylarkmq/remoting/protocol'
import type { ServerConnection } from '@skylarkmq/remoting'
import { stampText } from './plain-properties.ts'

const QUEUE_ID_LABEL = '","queueId":"'
/** A field of the binary header: int16 length of the key, key, int32 length of the value, value. */
const binaryField = (key: string, value: string): Buffer => {
  const bytes = Buffer.alloc(2 + key.length + 4)
  bytes.writeInt16BE(key.length)
  bytes.write(key, 2, 'latin1')
  bytes.writeInt32BE(Buffer.byteLength(value), 2 + key.length)
  return Buffer.concat([bytes, Buffer.from(value)])
}
const BINARY_QUEUE_ID_LABEL = binaryField('queueId', '')
/** Hexadecimal digits of the physical offset behind the store's address in an offset message id. */
const OFFSET_DIGITS = 16
/** The kernel writes whole words. */
export const SLACK_BYTES = 8

interface ReplyConfig {
  readonly brokerClusterName: string
  readonly regionId: string
  readonly traceOn: boolean
}

/** Puts the texts of records and answers where the kernel looks for them. Bytes of an answer's texts; undefined when it has no room for them. */
export function putTexts(kernel: Kernel, storeHost: Uint8Array, config: ReplyConfig): number | undefined {
  const host = Buffer.from(storeHost).toString('hex').toUpperCase()
  const [json, binary] = [jsonTexts(host, config), binaryTexts(host, config)]
  const stamp = Buffer.from(stampText(config))
  if (!kernel.setTexts([stamp, ...json, ...binary], [QUEUE_ID_LABEL.length, BINARY_QUEUE_ID_LABEL.length])) return undefined
  return Math.max(...[json, binary].map((texts) => texts.reduce((sum, text) => sum + text.length, 0)))
}

/** What the answer of a stored message says between its numbers, as the declared encoder writes it; in the order of the kernel's layout. */
function jsonTexts(host: string, { regionId, traceOn }: ReplyConfig): readonly Buffer[] {
  const rest = `","MSG_REGION":${JSON.stringify(regionId)},"TRACE_ON":"${traceOn}"}`
  const texts = [
    `\0\0\0\0\0\0\0\0{"code":0,"extFields":{"msgId":"${host}${'0'.repeat(OFFSET_DIGITS)}${QUEUE_ID_LABEL}`,
    '","queueOffset":"',
    '","transactionId":"',
    `${rest},"flag":1,"language":"JAVA","opaque":`,
    `,"serializeTypeCurrentRPC":"JSON","version":${PROTOCOL_VERSION}}`,
  ]
  return texts.map((text) => Buffer.from(text))
}

/** The same with the binary header: lengths that differ are left open. */
function binaryTexts(host: string, { regionId, traceOn }: ReplyConfig): readonly Buffer[] {
  const frame = { code: 0, language: 'JAVA', version: PROTOCOL_VERSION, opaque: 0, flag: 1, serializeType: SERIALIZE_ROCKETMQ } as const
  const head = encodeFrameHead({ ...frame, remark: undefined, ext: undefined }, 0)
  return [
    Buffer.concat([head, binaryField('msgId', `${host}${'0'.repeat(OFFSET_DIGITS)}`), BINARY_QUEUE_ID_LABEL]),
    binaryField('queueOffset', ''),
    binaryField('transactionId', ''),
    Buffer.concat([binaryField('MSG_REGION', regionId), binaryField('TRACE_ON', String(traceOn))]),
  ]
}

/** The answer to a stored batch, as the declared encoder writes it: that to a send, with an id for each message. */
export class BatchReply {
  readonly #kernel: Kernel
  readonly #idBytes: number
  /** Of an answer without ids. */
  readonly #otherBytes: number

  /** `textBytes`: what `putTexts` has said. */
  constructor(kernel: Kernel, storeHost: Uint8Array, textBytes: number) {
    this.#kernel = kernel
    this.#idBytes = 2 * storeHost.length + OFFSET_DIGITS
    this.#otherBytes = textBytes - this.#idBytes + SLOT.replyDigits + SLOT.keyBytes + SLACK_BYTES
  }

  /** Writes the answer to what was noted in `slot`. False: it has more ids than the kernel has room for. */
  write(connection: ServerConnection, slot: number, queueOffset: number, physicalOffsets: readonly number[]): boolean {
    const kernel = this.#kernel
    const count = physicalOffsets.length
    const room = this.#otherBytes + count * (this.#idBytes + 1)
    const offsetBytes = count * Float64Array.BYTES_PER_ELEMENT
    if (offsetBytes + room > SCANNED.inputBytes) return false
    for (let i = 0; i < count; i++) kernel.floats[SCANNED.inputAt / 8 + i] = physicalOffsets[i] as number
    const { bytes, start } = connection.reserve(room)
    const base = kernel.addressOf(bytes)
    const at = base >= 0 ? base + start : SCANNED.inputAt + offsetBytes
    const length = kernel.calls.writeBatchReply(slot, at, queueOffset, this.#idBytes, SCANNED.inputAt, count)
    if (base < 0) bytes.set(kernel.bytes.subarray(at, at + length), start)
    connection.giveBack(room - length)
    return true
  }
}
