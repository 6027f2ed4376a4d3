import type { Language } from './frame-types.ts'
import { PROTOCOL_VERSION } from './frame-types.ts'
import {
  ascii,
  BEFORE_CODE,
  BEFORE_EXT_FIELDS,
  BEFORE_FLAG,
  BEFORE_LANGUAGE,
  BEFORE_OPAQUE,
  BEFORE_REMARK,
  BEFORE_VERSION,
} from './json-header-text.ts'
import type { Fields } from './schema.ts'

/**
 * Frames with a JSON header, written byte by byte where they leave from: no ext fields, no text and no buffer in between, which is most
 * of what a small request costs both ends. The bytes are those of `encodeHeader` and `encodeFrameHead` (a property test holds them
 * equal), which also take what this leaves to them: texts beyond ASCII, and long headers.
 */
export interface Plan {
  readonly names: readonly string[]
  /** `"wire name":"` */
  readonly keys: readonly Uint8Array[]
}

export interface JsonHead {
  readonly code: number
  readonly language: Language
  readonly opaque: number
  readonly flag: number
  readonly remark?: string | undefined
  readonly bodyLength: number
}

/** Of a frame without a header of its own. */
export const NO_FIELDS: Fields = {}
export type Values = Readonly<Record<string, unknown>>

const PLANS = new WeakMap<Fields, Plan>()

export function planOf(fields: Fields): Plan {
  let plan = PLANS.get(fields)
  if (plan === undefined) {
    const names = Object.keys(fields)
    const keys = names.map((name) => ascii(`${JSON.stringify(fields[name]?.wireName ?? name)}:"`))
    PLANS.set(fields, (plan = { names, keys }))
  }
  return plan
}

const PREFIX_BYTES = 8
/** What surrounds the ext fields, and numbers of any length, take less. */
const FIXED_BYTES = 224
const FIELD_BYTES = 64
/** A character as JSON writes it, at its longest. */
const ESCAPED_BYTES = 6
/** Headers that may become longer are left to `encodeFrameHead`. */
export const JSON_HEAD_MAX_BYTES = 16 * 1024

/** Room that is certainly enough for a head with this header. */
export function jsonHeadRoom(fields: Fields, values: Values, remark = ''): number {
  const { names, keys } = planOf(fields)
  let room = FIXED_BYTES + remark.length * ESCAPED_BYTES
  for (let i = 0; i < names.length; i++) {
    const value = values[names[i] as string]
    room += FIELD_BYTES + (keys[i] as Uint8Array).length + (typeof value === 'string' ? value.length * ESCAPED_BYTES : 0)
  }
  return room
}

/** Returns where the body goes, or -1 when this header is not for it; then the room holds anything. */
export function writeJsonHead(bytes: Buffer, start: number, fields: Fields, values: Values, head: JsonHead): number {
  const { names, keys } = planOf(fields)
  let at = whole(bytes, literal(bytes, start + PREFIX_BYTES, BEFORE_CODE), head.code)
  let count = 0
  for (let i = 0; i < names.length; i++) {
    const value = values[names[i] as string]
    if (value === undefined || value === null) continue
    at = literal(bytes, at, count++ === 0 ? BEFORE_EXT_FIELDS : COMMA)
    at = literal(bytes, at, keys[i] as Uint8Array)
    // What else there is could become any text, of which the room knows nothing.
    if (typeof value === 'object' || typeof value === 'function') return -1
    at = isDigits(value) ? digits(bytes, at, value) : escaped(bytes, at, String(value))
    if (at < 0) return -1
    bytes[at++] = QUOTE
  }
  if (count > 0) bytes[at++] = CLOSING_BRACE
  at = whole(bytes, literal(bytes, at, BEFORE_FLAG), head.flag)
  at = escaped(bytes, literal(bytes, at, BEFORE_LANGUAGE), head.language)
  at = whole(bytes, literal(bytes, at, BEFORE_OPAQUE), head.opaque)
  if (head.remark !== undefined && head.remark !== '') {
    at = escaped(bytes, literal(bytes, at, BEFORE_REMARK), head.remark)
    if (at < 0) return -1
    bytes[at++] = QUOTE
  }
  at = literal(bytes, literal(bytes, at, BEFORE_VERSION), AFTER_VERSION)
  const headerLength = at - start - PREFIX_BYTES
  bytes.writeInt32BE(PREFIX_BYTES - 4 + headerLength + head.bodyLength, start)
  // Serialize type 0, JSON, is the first of these four bytes.
  bytes.writeInt32BE(headerLength, start + 4)
  return at
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const CLOSING_BRACE = 0x7d
const MINUS = 0x2d
const COMMA = ascii(',')
const AFTER_VERSION = ascii(`${PROTOCOL_VERSION}}`)
const ESCAPE_LOW = ascii('u000')
const ESCAPE_HIGH = ascii('u001')

/** A loop: for so few bytes a call into the platform costs more. */
function literal(bytes: Buffer, start: number, text: Uint8Array): number {
  const { length } = text
  for (let i = 0; i < length; i++) bytes[start + i] = text[i] as number
  return start + length
}

function whole(bytes: Buffer, start: number, value: number): number {
  if (value >= 0) return digits(bytes, start, value)
  bytes[start] = MINUS
  return digits(bytes, start + 1, -value)
}

/** Such numbers are written as they are. */
export const isDigits = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

function digits(bytes: Buffer, start: number, value: number): number {
  let end = start + 1
  for (let ten = 10; ten <= value; ten *= 10) end++
  putDigits(bytes, start, end, value)
  return end
}

/** Of a whole number that has as many as there is room for. */
export function putDigits(bytes: Buffer, start: number, end: number, value: number): void {
  let rest = value
  let at = end
  // Divided as 32-bit numbers, several times as fast, once that is possible.
  while (rest > 0x7fffffff) {
    const next = Math.floor(rest / 10)
    bytes[--at] = 0x30 + (rest - next * 10)
    rest = next
  }
  let small = rest | 0
  while (at > start) {
    const next = (small / 10) | 0
    bytes[--at] = 0x30 + (small - next * 10)
    small = next
  }
}

const SHORT_ESCAPES: ReadonlyMap<number, number> = new Map([
  [0x08, 0x62],
  [0x09, 0x74],
  [0x0a, 0x6e],
  [0x0c, 0x66],
  [0x0d, 0x72],
  [QUOTE, QUOTE],
  [BACKSLASH, BACKSLASH],
])
const HEX = '0123456789abcdef'

/** From this length on a text is put into the bytes by one call and looked through there: the characters of a joined text cost more. */
const LONG_TEXT = 24

/** -1 for what is not ASCII. */
function escaped(bytes: Buffer, start: number, text: string): number {
  const { length } = text
  // At the end of the room that it may need, so that what is written never overtakes what is read.
  const from = start + (ESCAPED_BYTES - 1) * length
  if (length >= LONG_TEXT) bytes.write(text, from, length, 'utf8')
  else for (let i = 0; i < length; i++) bytes[from + i] = asciiCode(text.charCodeAt(i))
  let at = start
  for (let i = from; i < from + length; i++) {
    const code = bytes[i] as number
    if (code > 0x7f) return -1
    if (code >= 0x20 && code !== QUOTE && code !== BACKSLASH) bytes[at++] = code
    else at = escape(bytes, at, code)
  }
  return at
}

/** Any other character as one byte that is not ASCII. */
const asciiCode = (code: number): number => (code > 0x7f ? 0xff : code)

function escape(bytes: Buffer, start: number, code: number): number {
  let at = start
  bytes[at++] = BACKSLASH
  const short = SHORT_ESCAPES.get(code)
  if (short !== undefined) bytes[at++] = short
  else {
    at = literal(bytes, at, code < 0x10 ? ESCAPE_LOW : ESCAPE_HIGH)
    bytes[at++] = HEX.charCodeAt(code & 0xf)
  }
  return at
}
