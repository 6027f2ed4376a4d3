import { isAscii } from 'node:buffer'
import { badFrame, setOwn, tooManyExtFields } from './bad-frame.ts'
import type { Frame, FrameHead, SerializeType } from './frame-types.ts'
import { FLAG_RESPONSE, LANGUAGES, SERIALIZE_JSON, SERIALIZE_MSGPACK, SERIALIZE_ROCKETMQ } from './frame-types.ts'
import { decodeJsonHeader } from './json-header.ts'
import { asBuffer } from './message/longs.ts'
import { decodeMsgpackHeader, encodeMsgpackHeader } from './msgpack-header.ts'
import { RocketError } from './rocket-error.ts'
import type { ExtFields } from './schema.ts'

/**
 * Frames (RocketMQ 5.3 `RemotingCommand`): int32 length of all that follows, one byte serialize type and three bytes header length,
 * header, body. All lengths are checked before anything is read by them; whatever is wrong throws RocketError BAD_FRAME, in a sentence
 * that names the field and its value.
 */
export interface DecodeFrameOptions {
  /** More ext fields than this are refused. Default 1024. */
  readonly maxExtFields?: number | undefined
}

export const MAX_EXT_FIELDS = 1024
export const MAX_HEADER_BYTES = 0xffffff

const EMPTY = Buffer.alloc(0)
const INT16_MIN = -32768
const INT16_MAX = 32767
const LANGUAGE_BYTE: ReadonlyMap<string, number> = new Map(LANGUAGES.map((name, i) => [name, i]))
const OTHER = LANGUAGE_BYTE.get('OTHER') as number

const isInt32 = (value: number): boolean => (value | 0) === value
const isInt16 = (value: number): boolean => value >= INT16_MIN && value <= INT16_MAX && (value | 0) === value

/** An answer goes out as its request came; in JSON when the code does not fit the binary header's 16 bits. */
export function responseSerializeType(
  request: SerializeType | { readonly serializeType: SerializeType },
  responseCode: number,
): SerializeType {
  const type = typeof request === 'number' ? request : request.serializeType
  return type === SERIALIZE_ROCKETMQ && !isInt16(responseCode) ? SERIALIZE_JSON : type
}

export const isResponse = (frame: { readonly flag: number }): boolean => (frame.flag & FLAG_RESPONSE) !== 0

// ---- Writing ----

/** A whole frame. */
export function encodeFrame(frame: Frame): Buffer {
  const head = encodeFrameHead(frame, frame.body.length)
  return frame.body.length === 0 ? head : Buffer.concat([head, frame.body])
}

/** Everything in front of a body of `bodyLength` bytes, which is written after it. */
export function encodeFrameHead(frame: FrameHead, bodyLength: number): Buffer {
  if (!isInt32(frame.opaque)) throw new RocketError(`the opaque ${frame.opaque} is not a whole number of 32 bits`, { code: 'BAD_ARGUMENT' })
  if (!isInt32(frame.code)) throw new RocketError(`the code ${frame.code} is not a whole number of 32 bits`, { code: 'BAD_ARGUMENT' })
  switch (frame.serializeType) {
    case SERIALIZE_MSGPACK:
      return headOf(SERIALIZE_MSGPACK, encodeMsgpackHeader(frame), bodyLength)
    case SERIALIZE_ROCKETMQ:
      return encodeBinary(frame, bodyLength) ?? encodeJsonHead(frame, bodyLength)
    default:
      return encodeJsonHead(frame, bodyLength)
  }
}

function writeLengths(bytes: Buffer, type: SerializeType, headerLength: number, bodyLength: number): void {
  const total = 4 + headerLength + bodyLength
  if (headerLength > MAX_HEADER_BYTES || total > 0x7fffffff) {
    throw new RocketError(
      `a frame with a header of ${headerLength} bytes and a body of ${bodyLength} cannot be written; headers have at most ${MAX_HEADER_BYTES} bytes`,
      { code: 'BAD_ARGUMENT' },
    )
  }
  bytes.writeInt32BE(total, 0)
  bytes.writeUInt32BE(type * 0x1000000 + headerLength, 4)
}

function headOf(type: SerializeType, header: Uint8Array, bodyLength: number): Buffer {
  const bytes = Buffer.allocUnsafe(8 + header.length)
  writeLengths(bytes, type, header.length, bodyLength)
  bytes.set(header, 8)
  return bytes
}

/** Texts that JSON writes as they are: nearly all that headers hold, and the test costs a third of JSON.stringify. */
const PLAIN_TEXT = /^[\w .:@#%|=,;*/-]*$/
const quoted = (text: string): string => (PLAIN_TEXT.test(text) ? `"${text}"` : JSON.stringify(text))

function encodeJsonHead(frame: FrameHead, bodyLength: number): Buffer {
  // Strict JSON, ext values always text: C++ ignores numbers and `ali-ons` reads with JSON.parse.
  let text = `{"code":${frame.code}`
  if (frame.ext !== undefined) {
    let ext = ''
    for (const key in frame.ext) {
      const value = frame.ext[key]
      if (value === undefined || value === null) continue
      ext += `${ext === '' ? '' : ','}${quoted(key)}:${quoted(String(value))}`
    }
    if (ext !== '') text += `,"extFields":{${ext}}`
  }
  text += `,"flag":${frame.flag | 0},"language":"${frame.language}","opaque":${frame.opaque}`
  if (frame.remark !== undefined && frame.remark !== '') text += `,"remark":${quoted(frame.remark)}`
  text += `,"serializeTypeCurrentRPC":"JSON","version":${frame.version | 0}}`
  const length = Buffer.byteLength(text, 'utf8')
  const bytes = Buffer.allocUnsafe(8 + length)
  writeLengths(bytes, SERIALIZE_JSON, length, bodyLength)
  if (length === text.length) bytes.write(text, 8, 'latin1')
  else bytes.write(text, 8, 'utf8')
  return bytes
}

const FIXED_BYTES = 21

/** Undefined when a value does not fit (code or version beyond 16 bits, a key beyond 32767 bytes): the frame then goes as JSON. */
function encodeBinary(frame: FrameHead, bodyLength: number): Buffer | undefined {
  if (!isInt16(frame.code) || !isInt16(frame.version) || !isInt32(frame.flag)) return undefined
  const remark = frame.remark ?? ''
  const remarkLength = Buffer.byteLength(remark, 'utf8')
  const ext = frame.ext
  let extLength = 0
  const lengths: number[] = []
  for (const key in ext) {
    const value = ext[key]
    if (value === undefined || value === null) continue
    const keyLength = Buffer.byteLength(key, 'utf8')
    if (keyLength > INT16_MAX) return undefined
    const valueLength = Buffer.byteLength(String(value), 'utf8')
    lengths.push(keyLength, valueLength)
    extLength += 6 + keyLength + valueLength
  }
  const headerLength = FIXED_BYTES + remarkLength + extLength
  const bytes = Buffer.allocUnsafe(8 + headerLength)
  writeLengths(bytes, SERIALIZE_ROCKETMQ, headerLength, bodyLength)
  let at = bytes.writeInt16BE(frame.code, 8)
  at = bytes.writeInt8(LANGUAGE_BYTE.get(frame.language) ?? OTHER, at)
  at = bytes.writeInt16BE(frame.version, at)
  at = bytes.writeInt32BE(frame.opaque, at)
  at = bytes.writeInt32BE(frame.flag, at)
  at = bytes.writeInt32BE(remarkLength, at)
  at += bytes.write(remark, at, 'utf8')
  at = bytes.writeInt32BE(extLength, at)
  let i = 0
  for (const key in ext) {
    const value = ext[key]
    if (value === undefined || value === null) continue
    at = bytes.writeInt16BE(lengths[i++] as number, at)
    at += bytes.write(key, at, 'utf8')
    at = bytes.writeInt32BE(lengths[i++] as number, at)
    at += bytes.write(String(value), at, 'utf8')
  }
  return bytes
}

// ---- Reading ----

/**
 * The frame whose length field is at `start` and whose bytes end at `end`. `body` is a view of `bytes`. Empty remark and empty ext are
 * undefined, so that a frame reads the same from either header.
 */
export function decodeFrame(bytes: Uint8Array, start = 0, end = bytes.length, options: DecodeFrameOptions = {}): Frame {
  const b = asBuffer(bytes)
  const given = Math.min(end, b.length) - start
  if (start < 0 || given < 8) throw badFrame(`the frame has ${Math.max(0, given)} bytes; it needs at least 8`)
  const length = b.readInt32BE(start)
  if (length !== given - 4) throw badFrame(`the frame length is ${length}, but ${given - 4} bytes follow it`)
  const word = b.readUInt32BE(start + 4)
  const type = word >>> 24
  const headerLength = word & 0xffffff
  const headerStart = start + 8
  const bodyStart = headerStart + headerLength
  if (headerLength > length - 4) {
    throw badFrame(`the header length is ${headerLength}, but the frame has ${length - 4} bytes for header and body`)
  }
  const maxExtFields = options.maxExtFields ?? MAX_EXT_FIELDS
  const frameEnd = start + given
  const body = bodyStart === frameEnd ? EMPTY : b.subarray(bodyStart, frameEnd)
  switch (type) {
    case SERIALIZE_JSON:
      return decodeJsonHeader(b, headerStart, bodyStart, body, maxExtFields)
    case SERIALIZE_ROCKETMQ:
      return decodeBinary(b, headerStart, bodyStart, body, maxExtFields)
    case SERIALIZE_MSGPACK:
      return decodeMsgpackHeader(b.subarray(headerStart, bodyStart), body, maxExtFields)
    default:
      throw badFrame(`the serialize type is ${type}; known are 0 (JSON), 1 (ROCKETMQ) and 2 (msgpack)`)
  }
}

function decodeBinary(b: Buffer, start: number, end: number, body: Buffer, maxExtFields: number): Frame {
  const headerLength = end - start
  if (headerLength < FIXED_BYTES) throw badFrame(`the binary header has ${headerLength} bytes; it needs at least ${FIXED_BYTES}`)
  const remarkLength = b.readInt32BE(start + 13)
  if (remarkLength < 0 || remarkLength > headerLength - FIXED_BYTES) {
    throw badFrame(`the remark length is ${remarkLength}; the header has ${headerLength - FIXED_BYTES} bytes for remark and ext fields`)
  }
  const remarkEnd = start + 17 + remarkLength
  const extLength = b.readInt32BE(remarkEnd)
  const extStart = remarkEnd + 4
  if (extLength < 0 || extLength > end - extStart) {
    throw badFrame(`the ext fields length is ${extLength}; the header has ${end - extStart} bytes for them`)
  }
  return {
    code: b.readInt16BE(start),
    language: LANGUAGES[b.readInt8(start + 2)] ?? 'OTHER',
    version: b.readInt16BE(start + 3),
    opaque: b.readInt32BE(start + 5),
    flag: b.readInt32BE(start + 9),
    remark: remarkLength === 0 ? undefined : b.toString('utf8', start + 17, remarkEnd),
    ext: extLength === 0 ? undefined : binaryExt(b, extStart, extStart + extLength, maxExtFields),
    body,
    serializeType: SERIALIZE_ROCKETMQ,
  }
}

/** Slices of a text keep all of it alive: not for large ones. */
const SLICED_BYTES_MAX = 4096

function binaryExt(b: Buffer, start: number, end: number, maxExtFields: number): ExtFields {
  const ext: Record<string, string> = {}
  // One conversion and slices of it cost a fraction of one conversion per field; for ASCII only, where bytes are characters.
  const all = end - start <= SLICED_BYTES_MAX && isAscii(b.subarray(start, end)) ? b.toString('latin1', start, end) : undefined
  const text = (from: number, to: number): string =>
    all === undefined ? b.toString('utf8', from, to) : all.slice(from - start, to - start)
  let count = 0
  let at = start
  while (at < end) {
    if (++count > maxExtFields) throw tooManyExtFields(maxExtFields)
    if (at + 2 > end) throw badFrame(`ext field ${count} is cut short: ${end - at} bytes are left for its key length`)
    const keyLength = b.readInt16BE(at)
    const keyEnd = at + 2 + keyLength
    if (keyLength < 0 || keyEnd + 4 > end)
      throw badFrame(`the key length of ext field ${count} is ${keyLength}; ${end - at - 2} bytes are left`)
    const valueLength = b.readInt32BE(keyEnd)
    const valueStart = keyEnd + 4
    if (valueLength < 0 || valueLength > end - valueStart) {
      throw badFrame(`the value length of ext field ${count} is ${valueLength}; ${end - valueStart} bytes are left`)
    }
    setOwn(ext, text(at + 2, keyEnd), text(valueStart, valueStart + valueLength))
    at = valueStart + valueLength
  }
  return ext
}
