import type { AnyCommand } from './command.ts'
import { PROTOCOL_VERSION } from './frame-types.ts'
import type { Fields } from './schema.ts'

/**
 * Requests with a JSON header, written byte by byte where they leave from: no ext fields, no text and no buffer in between, which is
 * most of what a send costs its client. The bytes are those of `encodeHeader` and `encodeFrameHead` (a property test holds them equal),
 * which also take what this leaves to them: texts beyond ASCII, and long headers.
 */
interface Plan {
  readonly start: Uint8Array
  readonly names: readonly string[]
  /** `"wire name":"` */
  readonly keys: readonly Uint8Array[]
}

const PLANS = new WeakMap<AnyCommand, Plan>()

function planOf(command: AnyCommand): Plan {
  let plan = PLANS.get(command)
  if (plan === undefined) {
    const fields = command.request as Fields
    const names = Object.keys(fields)
    const keys = names.map((name) => ascii(`${JSON.stringify(fields[name]?.wireName ?? name)}:"`))
    PLANS.set(command, (plan = { start: ascii(`{"code":${command.code}`), names, keys }))
  }
  return plan
}

const PREFIX_BYTES = 8
/** What surrounds the ext fields, and numbers of any length, take less. */
const FIXED_BYTES = 192
const FIELD_BYTES = 64
/** A character as JSON writes it, at its longest. */
const ESCAPED_BYTES = 6
/** Headers that may become longer are left to `encodeFrameHead`. */
export const JSON_REQUEST_MAX_BYTES = 16 * 1024

/** Room that is certainly enough for the head of this request. */
export function jsonRequestRoom(command: AnyCommand, header: Readonly<Record<string, unknown>>): number {
  const { names, keys } = planOf(command)
  let room = FIXED_BYTES
  for (let i = 0; i < names.length; i++) {
    const value = header[names[i] as string]
    room += FIELD_BYTES + (keys[i] as Uint8Array).length + (typeof value === 'string' ? value.length * ESCAPED_BYTES : 0)
  }
  return room
}

/** Returns where the body goes, or -1 when this header is not for it; then the room holds anything. */
export function writeJsonRequest(
  bytes: Buffer,
  start: number,
  command: AnyCommand,
  header: Readonly<Record<string, unknown>>,
  { opaque, flag, bodyLength }: { readonly opaque: number; readonly flag: number; readonly bodyLength: number },
): number {
  const plan = planOf(command)
  const { names, keys } = plan
  let at = literal(bytes, start + PREFIX_BYTES, plan.start)
  let count = 0
  for (let i = 0; i < names.length; i++) {
    const value = header[names[i] as string]
    if (value === undefined || value === null) continue
    at = literal(bytes, at, count++ === 0 ? EXT_FIELDS : COMMA)
    at = literal(bytes, at, keys[i] as Uint8Array)
    // What else there is could become any text, of which the room knows nothing.
    if (typeof value === 'object' || typeof value === 'function') return -1
    at = isDigits(value) ? digits(bytes, at, value) : escaped(bytes, at, String(value))
    if (at < 0) return -1
    bytes[at++] = QUOTE
  }
  if (count > 0) bytes[at++] = CLOSING_BRACE
  at = digits(bytes, literal(bytes, at, FLAG), flag)
  at = digits(bytes, literal(bytes, at, OPAQUE), opaque)
  at = literal(bytes, at, END)
  const headerLength = at - start - PREFIX_BYTES
  bytes.writeInt32BE(PREFIX_BYTES - 4 + headerLength + bodyLength, start)
  // Serialize type 0, JSON, is the first of these four bytes.
  bytes.writeInt32BE(headerLength, start + 4)
  return at
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const CLOSING_BRACE = 0x7d
const ascii = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'))
const EXT_FIELDS = ascii(',"extFields":{')
const COMMA = ascii(',')
const FLAG = ascii(',"flag":')
const OPAQUE = ascii(',"language":"OTHER","opaque":')
const END = ascii(`,"serializeTypeCurrentRPC":"JSON","version":${PROTOCOL_VERSION}}`)
const ESCAPE_LOW = ascii('u000')
const ESCAPE_HIGH = ascii('u001')

/** A loop: for so few bytes a call into the platform costs more. */
function literal(bytes: Buffer, start: number, text: Uint8Array): number {
  const { length } = text
  for (let i = 0; i < length; i++) bytes[start + i] = text[i] as number
  return start + length
}

const isDigits = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

function digits(bytes: Buffer, start: number, value: number): number {
  let end = start + 1
  for (let ten = 10; ten <= value; ten *= 10) end++
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
  return end
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
