import { badFrame, setOwn, tooManyExtFields } from './bad-frame.ts'
import { parseFastjson } from './fastjson.ts'
import type { Frame } from './frame-types.ts'
import { LANGUAGES, SERIALIZE_JSON } from './frame-types.ts'
import { PLAIN_EXT_FIELDS, readPlainHeader } from './plain-header.ts'
import type { ExtFields } from './schema.ts'

const LANGUAGE_NAMES: ReadonlySet<string> = new Set(LANGUAGES)

/** Headers above this are looked over before they are parsed. */
const LARGE_HEADER_BYTES = 65536
const HEADER_MAX_DEPTH = 64
/** Beside ext fields, a header has a handful of commas. */
const OTHER_COMMAS = 1000

/**
 * JSON.parse takes seconds for megabytes of nested brackets or small members. One pass over the bytes bounds both, so that what is left
 * to parse is cheap: long texts.
 */
function checkLargeHeader(b: Buffer, start: number, end: number, maxExtFields: number): void {
  let depth = 0
  let commas = 0
  for (let at = start; at < end; at++) {
    const byte = b[at]
    if (byte === 0x22) {
      for (at++; at < end && b[at] !== 0x22; at++) if (b[at] === 0x5c) at++
    } else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > HEADER_MAX_DEPTH) throw badFrame(`the header nests deeper than ${HEADER_MAX_DEPTH} levels`)
    } else if (byte === 0x7d || byte === 0x5d) depth--
    else if (byte === 0x2c && ++commas > maxExtFields + OTHER_COMMAS) throw tooManyExtFields(maxExtFields)
  }
}

export function decodeJsonHeader(b: Buffer, start: number, end: number, body: Buffer, maxExtFields: number): Frame {
  return plainFrame(b, start, end, body, maxExtFields) ?? parseJsonHeader(b, start, end, body, maxExtFields)
}

function plainFrame(b: Buffer, start: number, end: number, body: Buffer, maxExtFields: number): Frame | undefined {
  const header = maxExtFields < PLAIN_EXT_FIELDS ? undefined : readPlainHeader(b, start, end)
  if (header === undefined || header.code === undefined || header.opaque === undefined) return undefined
  const { code, language, version, opaque, flag, ext } = header
  return { code, language, version, opaque, flag, remark: undefined, ext, body, serializeType: SERIALIZE_JSON }
}

/** Any header that is JSON. */
export function parseJsonHeader(b: Buffer, start: number, end: number, body: Buffer, maxExtFields: number): Frame {
  if (end - start > LARGE_HEADER_BYTES) checkLargeHeader(b, start, end, maxExtFields)
  const text = b.toString('utf8', start, end)
  let header: unknown
  try {
    header = JSON.parse(text)
  } catch (cause) {
    throw badFrame(`the header of ${end - start} bytes is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`, cause)
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) throw badFrame('the header is JSON but not an object')
  const h = header as Record<string, unknown>
  return {
    code: int32(h, 'code', undefined),
    language: typeof h['language'] === 'string' && LANGUAGE_NAMES.has(h['language']) ? (h['language'] as Frame['language']) : 'OTHER',
    version: int32(h, 'version', 0),
    opaque: int32(h, 'opaque', undefined),
    flag: int32(h, 'flag', 0),
    remark: h['remark'] === undefined || h['remark'] === null || h['remark'] === '' ? undefined : textOf(h['remark']),
    ext: jsonExt(h['extFields'], text, maxExtFields),
    body,
    serializeType: SERIALIZE_JSON,
  }
}

const WHOLE = /^[+-]?\d{1,10}$/

function int32(header: Record<string, unknown>, name: string, absent: number | undefined): number {
  const found = header[name]
  if (found === undefined || found === null) {
    if (absent === undefined) throw badFrame(`the header field ${name} is missing; it is required`)
    return absent
  }
  const value = typeof found === 'string' && WHOLE.test(found) ? Number(found) : found
  if (typeof value !== 'number' || (value | 0) !== value) {
    const shown = JSON.stringify(found)
    throw badFrame(
      `the header field ${name} is ${shown.length > 64 ? `${shown.slice(0, 64)}…` : shown}; it must be a whole number of 32 bits`,
    )
  }
  return value
}

const textOf = (value: unknown): string => (typeof value === 'object' ? JSON.stringify(value) : String(value))

function jsonExt(found: unknown, text: string, maxExtFields: number): ExtFields | undefined {
  if (found === undefined || found === null) return undefined
  if (typeof found !== 'object' || Array.isArray(found))
    throw badFrame(`the header field extFields is ${typeof found}; it must be an object`)
  const ext = found as Record<string, unknown>
  let count = 0
  let plain = true
  for (const key in ext) {
    count++
    if (typeof ext[key] !== 'string') plain = false
  }
  if (count > maxExtFields) throw tooManyExtFields(maxExtFields)
  if (count === 0) return undefined
  return plain ? (ext as ExtFields) : coerceExt(ext, text)
}

/** JavaScript and C++ clients send raw numbers and booleans: they become text, whole numbers digit by digit. null counts as absent, as in Java. */
function coerceExt(ext: Record<string, unknown>, text: string): ExtFields | undefined {
  const coerced: Record<string, string> = {}
  let lossless: Record<string, unknown> | undefined
  let count = 0
  for (const key of Object.keys(ext)) {
    let value = ext[key]
    if (value === null) continue
    if (typeof value === 'number' && !Number.isSafeInteger(value)) {
      lossless ??= losslessExt(text)
      value = lossless[key] ?? value
    }
    setOwn(coerced, key, textOf(value))
    count++
  }
  return count === 0 ? undefined : coerced
}

/** The text is known to be strict JSON; this reading keeps whole numbers beyond 2^53 exact. */
function losslessExt(text: string): Record<string, unknown> {
  try {
    return (parseFastjson(text) as Record<string, unknown>)['extFields'] as Record<string, unknown>
  } catch (cause) {
    throw badFrame(`the header's numbers cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, cause)
  }
}
