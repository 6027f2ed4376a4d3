import { PROTOCOL_VERSION, SCANNED } from '@skylarkmq/remoting/protocol'
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

const FRAME_PREFIX_BYTES = 8
/** Ids that are written by one call: they and their offsets lie where the kernel takes what is copied in, unless the answer is in its memory. */
const IDS_AT_ONCE = 256
const IDS_AT = SCANNED.inputAt + 8 * IDS_AT_ONCE

/** The answer to a stored batch, as the declared encoder writes it: that to a send, with an id for each message. */
export class BatchReply {
  readonly #kernel: Kernel
  readonly #head: Buffer
  /** A comma, and the id of a message with digits to be filled in. */
  readonly #id: Buffer
  /** What stands between queue id, queue offset, transaction id, and opaque; and behind it. */
  readonly #texts: readonly string[]

  constructor(kernel: Kernel, storeHost: Uint8Array, config: ReplyConfig) {
    this.#kernel = kernel
    const { texts, labelLength } = replyTexts(storeHost, config)
    const [first = Buffer.alloc(0), ...others] = texts
    const idEnd = first.length - labelLength
    const idStart = idEnd - OFFSET_DIGITS - 2 * storeHost.length
    this.#head = first.subarray(FRAME_PREFIX_BYTES, idStart)
    this.#id = Buffer.concat([Buffer.from(','), first.subarray(idStart, idEnd)])
    this.#texts = others.map(String)
  }

  /** `key`: a text of one character per byte. */
  write(
    { opaque, queueId, key }: { readonly opaque: number; readonly queueId: number; readonly key: string },
    { queueOffset, physicalOffsets }: { readonly queueOffset: number; readonly physicalOffsets: readonly number[] },
    reserve: (length: number) => { readonly bytes: Buffer; readonly start: number },
  ): void {
    const head = this.#head
    const [toOffset, toTransaction, toOpaque, end] = this.#texts
    const rest = `${QUEUE_ID_LABEL}${queueId}${toOffset}${queueOffset}${toTransaction}${key}${toOpaque}${opaque}${end}`
    // Without the comma before the first.
    const idBytes = this.#id.length * physicalOffsets.length - 1
    const length = FRAME_PREFIX_BYTES + head.length + idBytes + rest.length
    const { bytes, start } = reserve(length)
    const at = start + FRAME_PREFIX_BYTES
    this.#writeIds(bytes, at + head.length - 1, physicalOffsets)
    bytes.set(head, at)
    bytes.write(rest, at + head.length + idBytes, 'latin1')
    bytes.writeInt32BE(length - 4, start)
    bytes.writeInt32BE(length - FRAME_PREFIX_BYTES, start + 4)
  }

  #writeIds(bytes: Buffer, start: number, offsets: readonly number[]): void {
    const kernel = this.#kernel
    const id = this.#id
    const base = kernel.addressOf(bytes)
    let to = start
    for (let done = 0; done < offsets.length; done += IDS_AT_ONCE) {
      const count = Math.min(IDS_AT_ONCE, offsets.length - done)
      for (let i = 0; i < count; i++) kernel.floats[SCANNED.inputAt / 8 + i] = offsets[done + i] as number
      const at = base >= 0 ? base + to : IDS_AT
      kernel.bytes.set(id, at)
      kernel.calls.writeIds(at, id.length, SCANNED.inputAt, count)
      if (base < 0) bytes.set(kernel.bytes.subarray(at, at + count * id.length), to)
      to += count * id.length
    }
  }
}
