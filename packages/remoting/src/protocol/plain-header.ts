import type { Language } from './frame-types.ts'
import type { ExtFields } from './schema.ts'

/** What `readPlainHeader` finds. Numbers are 32 bits wide. */
export interface PlainHeader {
  code: number | undefined
  flag: number
  language: Language
  opaque: number | undefined
  version: number
  ext: ExtFields | undefined
}

/** Slices of a text keep all of it alive: not for large ones. */
const PLAIN_HEADER_BYTES = 1024
export const PLAIN_EXT_FIELDS = 64

const QUOTE = 0x22
const COMMA = 0x2c
const MINUS = 0x2d
const ZERO = 0x30
const COLON = 0x3a
const BACKSLASH = 0x5c
const OPENING_BRACE = 0x7b
const CLOSING_BRACE = 0x7d

/** The keys of the latest ext fields: those of the next answer are the same, mostly, and a text need not be made for each. */
const lastKeys: string[] = []

/**
 * A JSON header as programs write it: without spaces, its texts ASCII without escapes, `extFields` all texts.
 * In half of JSON.parse's time, as only what is wanted is made. Undefined for any other header, right or wrong: JSON.parse decides
 * (a property test holds the two equal).
 */
export function readPlainHeader(b: Buffer, start: number, end: number): PlainHeader | undefined {
  if (end - start > PLAIN_HEADER_BYTES || b[start] !== OPENING_BRACE) return undefined
  const text = b.toString('latin1', start, end)
  const header: PlainHeader = { code: undefined, flag: 0, language: 'OTHER', opaque: undefined, version: 0, ext: undefined }
  let at = start + 1
  for (;;) {
    const key = at + 1
    const keyEnd = textEnd(b, at, end)
    if (keyEnd < 0 || b[keyEnd + 1] !== COLON) return undefined
    at = keyEnd + 2
    if (is(b, key, keyEnd, 'extFields')) {
      const ext: Record<string, string> = {}
      at = readExt(b, at, end, text, start, ext)
      if (at < 0) return undefined
      header.ext = ext
    } else if (b[at] === QUOTE) {
      const valueEnd = textEnd(b, at, end)
      if (valueEnd < 0) return undefined
      if (is(b, key, keyEnd, 'language')) {
        if (is(b, at + 1, valueEnd, 'JAVA')) header.language = 'JAVA'
        else if (is(b, at + 1, valueEnd, 'OTHER')) header.language = 'OTHER'
        else return undefined
      } else if (!is(b, key, keyEnd, 'serializeTypeCurrentRPC')) return undefined
      at = valueEnd + 1
    } else {
      const valueEnd = numberEnd(b, at, end)
      if (valueEnd < 0) return undefined
      const value = numberOf(b, at, valueEnd)
      if (value !== (value | 0)) return undefined
      if (is(b, key, keyEnd, 'code')) header.code = value
      else if (is(b, key, keyEnd, 'opaque')) header.opaque = value
      else if (is(b, key, keyEnd, 'flag')) header.flag = value
      else if (is(b, key, keyEnd, 'version')) header.version = value
      else return undefined
      at = valueEnd
    }
    if (at >= end) return undefined
    if (b[at] === CLOSING_BRACE) return at + 1 === end ? header : undefined
    if (b[at++] !== COMMA) return undefined
  }
}

/** Behind the object, or -1. An empty one, and one with a key that means something to objects, are not plain. */
function readExt(b: Buffer, start: number, end: number, text: string, textStart: number, ext: Record<string, string>): number {
  if (b[start] !== OPENING_BRACE) return -1
  let at = start + 1
  for (let i = 0; i < PLAIN_EXT_FIELDS; i++) {
    const key = at + 1
    const keyEnd = textEnd(b, at, end)
    if (keyEnd < 0 || b[keyEnd + 1] !== COLON) return -1
    const value = keyEnd + 3
    const valueEnd = textEnd(b, keyEnd + 2, end)
    if (valueEnd < 0) return -1
    let name = lastKeys[i]
    if (name === undefined || !is(b, key, keyEnd, name)) {
      name = text.slice(key - textStart, keyEnd - textStart)
      if (name === '__proto__') return -1
      lastKeys[i] = name = asKey(name)
    }
    ext[name] = text.slice(value - textStart, valueEnd - textStart)
    at = valueEnd + 2
    if (at > end) return -1
    if (b[at - 1] === CLOSING_BRACE) return at
    if (b[at - 1] !== COMMA) return -1
  }
  return -1
}

/** The same text in the form in which objects hold their keys, or each use of it as a key would look for that form. */
const asKey = (text: string): string => Object.keys({ [text]: 0 })[0] as string

/** The closing quote of the text whose opening quote is at `at`; -1 when there is none, or something to decode before it. */
function textEnd(b: Buffer, at: number, end: number): number {
  if (b[at] !== QUOTE) return -1
  for (let i = at + 1; i < end; i++) {
    const byte = b[i] as number
    if (byte === QUOTE) return i
    if (byte < 0x20 || byte > 0x7f || byte === BACKSLASH) return -1
  }
  return -1
}

/** Behind the whole number at `at`, as JSON allows them; -1 for anything else. */
function numberEnd(b: Buffer, at: number, end: number): number {
  const first = b[at] === MINUS ? at + 1 : at
  let i = first
  while (i < end && i < first + 11 && isDigit(b[i] as number)) i++
  const length = i - first
  // JSON has no leading zeros; -0 is left to those who know what it means.
  return length === 0 || length > 10 || (b[first] === ZERO && i - at > 1) ? -1 : i
}

const isDigit = (byte: number): boolean => byte >= ZERO && byte <= ZERO + 9

function numberOf(b: Buffer, start: number, end: number): number {
  const isNegative = b[start] === MINUS
  let value = 0
  for (let i = isNegative ? start + 1 : start; i < end; i++) value = value * 10 + ((b[i] as number) - ZERO)
  return isNegative ? 0 - value : value
}

function is(b: Buffer, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false
  for (let i = 0; i < text.length; i++) if (b[start + i] !== text.charCodeAt(i)) return false
  return true
}
