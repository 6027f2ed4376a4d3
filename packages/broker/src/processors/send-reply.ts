import { PROTOCOL_VERSION, putHex } from '@skylarkmq/remoting/protocol'
import type { Kernel } from '@skylarkmq/remoting/protocol'
import { stampText } from './plain-properties.ts'

const QUEUE_ID_LABEL = '","queueId":"'
/** Hexadecimal digits of the physical offset behind the store's address in an offset message id. */
const OFFSET_DIGITS = 16

interface ReplyConfig {
  readonly brokerClusterName: string
  readonly regionId: string
  readonly traceOn: boolean
}

/** Puts the texts of records and answers where the kernel looks for them. Bytes of an answer's texts; undefined when it has no room for them. */
export function putTexts(kernel: Kernel, storeHost: Uint8Array, config: ReplyConfig): number | undefined {
  const { texts, labelLength } = replyTexts(storeHost, config)
  if (!kernel.setTexts([Buffer.from(stampText(config)), ...texts], labelLength)) return undefined
  return texts.reduce((sum, text) => sum + text.length, 0)
}

/** What the answer of a stored message says between its numbers, as the declared encoder writes it; in the order of the kernel's layout. */
function replyTexts(
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

const HIGH = 0x1_0000_0000
const FRAME_PREFIX_BYTES = 8
const HEX_PER_WORD = 8

/** The answer to a stored batch, as the declared encoder writes it. */
export class BatchReply {
  readonly #head: Buffer
  /** A comma, and the id of a message with digits to be filled in. */
  readonly #id: Buffer
  readonly #tail: string
  readonly #end: string

  constructor(storeHost: Uint8Array, config: ReplyConfig) {
    this.#head = Buffer.from('{"code":0,"extFields":{"msgId":"')
    this.#id = Buffer.from(`,${Buffer.from(storeHost).toString('hex').toUpperCase()}${'0'.repeat(OFFSET_DIGITS)}`)
    this.#tail = `","MSG_REGION":${JSON.stringify(config.regionId)},"TRACE_ON":"${config.traceOn}"},"flag":1,"language":"JAVA","opaque":`
    this.#end = `,"serializeTypeCurrentRPC":"JSON","version":${PROTOCOL_VERSION}}`
  }

  /** `key`: a text of one character per byte. */
  write(
    { opaque, queueId, key }: { readonly opaque: number; readonly queueId: number; readonly key: string },
    { queueOffset, physicalOffsets }: { readonly queueOffset: number; readonly physicalOffsets: readonly number[] },
    reserve: (length: number) => { readonly bytes: Buffer; readonly start: number },
  ): void {
    const head = this.#head
    const id = this.#id
    const rest = `${QUEUE_ID_LABEL}${queueId}","queueOffset":"${queueOffset}","transactionId":"${key}${this.#tail}${opaque}${this.#end}`
    // Without the comma before the first.
    const idBytes = id.length * physicalOffsets.length - 1
    const length = FRAME_PREFIX_BYTES + head.length + idBytes + rest.length
    const { bytes, start } = reserve(length)
    let at = start + FRAME_PREFIX_BYTES
    bytes.set(id, at + head.length - 1)
    const idsAt = at + head.length - 1
    const firstHigh = Math.floor((physicalOffsets[0] as number) / HIGH)
    putHex(bytes, idsAt + id.length - HEX_PER_WORD, firstHigh)
    // Twice as many with each copy, which costs more than its bytes; then what differs.
    const idsEnd = idsAt + idBytes + 1
    for (let done = id.length; idsAt + done < idsEnd; done *= 2) {
      bytes.copyWithin(idsAt + done, idsAt, Math.min(idsAt + done, idsEnd - done))
    }
    bytes.set(head, at)
    at = idsAt
    for (let i = 0; i < physicalOffsets.length; i++) {
      const offset = physicalOffsets[i] as number
      at += id.length
      putHex(bytes, at, offset | 0)
      const high = Math.floor(offset / HIGH)
      if (high !== firstHigh) putHex(bytes, at - HEX_PER_WORD, high)
    }
    bytes.write(rest, at, 'latin1')
    bytes.writeInt32BE(length - 4, start)
    bytes.writeInt32BE(length - FRAME_PREFIX_BYTES, start + 4)
  }
}
