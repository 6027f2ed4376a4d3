import { RocketError } from '../rocket-error.ts'
import { asBuffer } from './longs.ts'
import { PROPERTIES_MAX_BYTES } from './properties.ts'

/** One message of a batch send. After decoding, body and properties are views of the batch's bytes. */
export interface ClientBatchMessage {
  readonly flag: number
  readonly body: Uint8Array
  /** Property text in UTF-8. */
  readonly properties: Uint8Array
}

const FIXED_BYTES = 22

const illegal = (sentence: string): RocketError => new RocketError(sentence, { code: 'MESSAGE_ILLEGAL', brokerCode: 13 })

/** The body of SEND_BATCH_MESSAGE (RocketMQ 5.3 `MessageDecoder#encodeMessages`). */
export function encodeClientBatch(messages: readonly ClientBatchMessage[]): Buffer {
  let size = 0
  for (const m of messages) {
    if (m.properties.length > PROPERTIES_MAX_BYTES) {
      throw illegal(
        `the properties of a message in the batch have ${m.properties.length} bytes; at most ${PROPERTIES_MAX_BYTES} are allowed`,
      )
    }
    size += FIXED_BYTES + m.body.length + m.properties.length
  }
  const bytes = Buffer.allocUnsafe(size)
  let at = 0
  for (const m of messages) {
    at = bytes.writeInt32BE(FIXED_BYTES + m.body.length + m.properties.length, at)
    at = bytes.writeInt32BE(0, at)
    at = bytes.writeInt32BE(0, at)
    at = bytes.writeInt32BE(m.flag | 0, at)
    at = bytes.writeInt32BE(m.body.length, at)
    bytes.set(m.body, at)
    at = bytes.writeInt16BE(m.properties.length, at + m.body.length)
    bytes.set(m.properties, at)
    at += m.properties.length
  }
  return bytes
}

/** Takes a batch body apart. Every length is checked against the bytes there are; a wrong one throws MESSAGE_ILLEGAL and names it. */
export function decodeClientBatch(body: Uint8Array): ClientBatchMessage[] {
  const b = asBuffer(body)
  const messages: ClientBatchMessage[] = []
  let at = 0
  while (at < b.length) {
    const left = b.length - at
    if (left < FIXED_BYTES)
      throw illegal(`${where(messages.length, at)}: ${left} bytes are left, ${FIXED_BYTES} is the least; the batch is cut short`)
    const size = b.readInt32BE(at)
    if (size < FIXED_BYTES || size > left)
      throw illegal(`${where(messages.length, at)}: the size is ${size}; it must be from ${FIXED_BYTES} to the ${left} bytes left`)
    const bodyLength = b.readInt32BE(at + 16)
    if (bodyLength < 0 || bodyLength > size - FIXED_BYTES) {
      throw illegal(
        `${where(messages.length, at)}: the body length is ${bodyLength}; in a message of ${size} bytes at most ${size - FIXED_BYTES} fit`,
      )
    }
    const bodyAt = at + 20
    const propertiesLength = b.readInt16BE(bodyAt + bodyLength)
    const propertiesAt = bodyAt + bodyLength + 2
    if (propertiesLength !== size - FIXED_BYTES - bodyLength) {
      throw illegal(
        `${where(messages.length, at)}: the properties length is ${propertiesLength}; the sizes leave ${size - FIXED_BYTES - bodyLength}`,
      )
    }
    messages.push({
      flag: b.readInt32BE(at + 12),
      body: view(b, bodyAt, bodyLength),
      properties: view(b, propertiesAt, propertiesLength),
    })
    at += size
  }
  return messages
}

const where = (index: number, at: number): string => `message ${index + 1} of the batch (byte ${at})`

/** Half the cost of a Buffer's `subarray`. */
const view = (b: Buffer, at: number, length: number): Uint8Array => new Uint8Array(b.buffer, b.byteOffset + at, length)
