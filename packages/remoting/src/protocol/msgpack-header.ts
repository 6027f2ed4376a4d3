import { badFrame, setOwn, tooManyExtFields } from './bad-frame.ts'
import type { Frame, FrameHead } from './frame-types.ts'
import { LANGUAGES, SERIALIZE_MSGPACK } from './frame-types.ts'
import { RocketError } from './rocket-error.ts'

/**
 * Serialize type 2, ours: a msgpack list `[code, language, version, opaque, flag, remark or nil, key, value, key, value, …]`. Flat, so
 * that no key can become an object's property on the way.
 */
export interface MsgpackCodec {
  pack(value: unknown): Uint8Array
  unpack(bytes: Uint8Array): unknown
}

/** The part of the module `msgpackr` that is used. */
export interface MsgpackModule {
  readonly Packr: new (options?: { useRecords?: boolean }) => MsgpackCodec
}

let codec: MsgpackCodec | undefined

/** Makes serialize type 2 known: `useMsgpack(await import('msgpackr'))`. Until then such frames are refused. */
export function useMsgpack(module: MsgpackModule | undefined): void {
  codec = module === undefined ? undefined : new module.Packr({ useRecords: false })
}

export const isMsgpackReady = (): boolean => codec !== undefined

const FIXED_ITEMS = 6

export function encodeMsgpackHeader(frame: FrameHead): Uint8Array {
  if (codec === undefined) {
    throw new RocketError('a msgpack frame cannot be written before useMsgpack(msgpackr) was called', { code: 'BAD_ARGUMENT' })
  }
  const language = Math.max(0, LANGUAGES.indexOf(frame.language))
  const items: unknown[] = [frame.code, language, frame.version, frame.opaque, frame.flag, frame.remark || null]
  for (const key in frame.ext) {
    const value = frame.ext[key]
    if (value !== undefined && value !== null) items.push(key, String(value))
  }
  return codec.pack(items)
}

export function decodeMsgpackHeader(header: Buffer, body: Buffer, maxExtFields: number): Frame {
  if (codec === undefined)
    throw badFrame('the serialize type is 2 (msgpack), which is not enabled at this end; send JSON (0) or ROCKETMQ (1)')
  const count = checkItems(header)
  if (count < FIXED_ITEMS || count % 2 !== 0) {
    throw badFrame(`the msgpack header has ${count} items; it needs ${FIXED_ITEMS} and then keys with values`)
  }
  if ((count - FIXED_ITEMS) / 2 > maxExtFields) throw tooManyExtFields(maxExtFields)
  let items: unknown
  try {
    items = codec.unpack(header)
  } catch (cause) {
    throw badFrame(`the msgpack header of ${header.length} bytes cannot be read: ${String(cause)}`, cause)
  }
  if (!Array.isArray(items)) throw badFrame('the msgpack header is not a list')
  const ext: Record<string, string> = {}
  for (let i = FIXED_ITEMS; i < items.length; i += 2) setOwn(ext, text(items, i, 'ext key'), text(items, i + 1, 'ext value'))
  return {
    code: int32(items, 0, 'code'),
    language: LANGUAGES[int32(items, 1, 'language')] ?? 'OTHER',
    version: int32(items, 2, 'version'),
    opaque: int32(items, 3, 'opaque'),
    flag: int32(items, 4, 'flag'),
    remark: items[5] === null ? undefined : text(items, 5, 'remark') || undefined,
    ext: items.length === FIXED_ITEMS ? undefined : ext,
    body,
    serializeType: SERIALIZE_MSGPACK,
  }
}

function int32(items: unknown[], index: number, name: string): number {
  const value = items[index]
  if (typeof value !== 'number' || (value | 0) !== value)
    throw badFrame(`the header field ${name} is ${String(value)}; it must be a whole number of 32 bits`)
  return value
}

function text(items: unknown[], index: number, name: string): string {
  const value = items[index]
  if (typeof value !== 'string') throw badFrame(`the ${name} at item ${index} of the msgpack header is ${typeof value}; it must be text`)
  return value
}

/** Bytes of a msgpack integer after its first byte, by 0xcc … 0xd3. */
const INTEGER_BYTES = [1, 2, 4, 8, 1, 2, 4, 8]

/**
 * Walks one flat list of nil, integers and texts and returns its length. Done before unpacking: a declared length of millions would be
 * allocated by the library, and its extension types build objects that no header holds.
 */
function checkItems(b: Buffer): number {
  const cut = () => badFrame(`the msgpack header of ${b.length} bytes is cut short`)
  const first = b[0]
  if (first === undefined) throw cut()
  let at = 1
  let count: number
  if (first >= 0x90 && first <= 0x9f) count = first & 15
  else if (first === 0xdc && b.length >= 3) {
    count = b.readUInt16BE(1)
    at = 3
  } else if (first === 0xdd && b.length >= 5) {
    count = b.readUInt32BE(1)
    at = 5
  } else throw badFrame(`the msgpack header begins with byte ${first}; it must be a list`)
  if (count > b.length) throw badFrame(`the msgpack header has ${b.length} bytes but claims ${count} items`)
  for (let i = 0; i < count; i++) {
    const type = b[at++]
    if (type === undefined) throw cut()
    if (type <= 0x7f || type >= 0xe0 || type === 0xc0) continue
    if (type >= 0xa0 && type <= 0xbf) at += type & 31
    else if (type >= 0xcc && type <= 0xd3) at += INTEGER_BYTES[type - 0xcc] as number
    else if (type >= 0xd9 && type <= 0xdb) {
      const width = 1 << (type - 0xd9)
      if (at + width > b.length) throw cut()
      at += width + b.readUIntBE(at, width)
    } else throw badFrame(`item ${i} of the msgpack header has type byte ${type}; only numbers, texts and nil are expected`)
    if (at > b.length) throw cut()
  }
  if (at !== b.length) throw badFrame(`the msgpack header has ${b.length - at} bytes after its list`)
  return count
}
