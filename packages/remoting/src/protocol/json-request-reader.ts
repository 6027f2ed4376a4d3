/**
 * Reads the JSON header of a request in one pass over its bytes, by the command's declaration, without the texts and objects in between,
 * which cost more than all else of a small request. An accelerator, not a second definition: whatever is unusual is declined (undefined)
 * and takes `decodeFrame` and `decodeHeader`. A property test holds both equal.
 */
import { Buffer } from 'node:buffer'
import type { Language } from './frame-types.ts'
import { LANGUAGES } from './frame-types.ts'
import { RPC_FIELD_NAMES } from './command.ts'
import type { NumberPlace } from './json-repeated-requests.ts'
import { JsonRepeatedRequests } from './json-repeated-requests.ts'
import { ascii, BEFORE_CODE, BEFORE_EXT_FIELDS, BEFORE_FLAG, BEFORE_LANGUAGE, BEFORE_OPAQUE, BEFORE_VERSION } from './json-header-text.ts'
import type { Fields } from './schema.ts'
import { parseField } from './schema.ts'

const QUOTE = 0x22
const MINUS = 0x2d
const DIGIT_0 = 0x30
const CLOSE = 0x7d
const COMMA = 0x2c
/** JSON.parse rounds beyond so many digits. */
const DIGITS_MAX = 15
/** Of a text that is looked up; longer ones (subscriptions by SQL) are rare. */
const TEXT_BYTES_MAX = 255
const SLOTS = 256

function startsWith(bytes: Uint8Array, at: number, text: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text[i]) return false
  return true
}

/** Texts that were met before and what they mean, by their bytes; one for each slot, the newest. */
class Texts<T> {
  readonly #slots: ({ readonly bytes: Uint8Array; readonly value: T } | undefined)[] = []
  readonly #read: (text: string) => T

  constructor(read: (text: string) => T) {
    this.#read = read
  }

  get(bytes: Uint8Array, start: number, end: number): T {
    let hash = end - start
    for (let p = start; p < end; p++) hash = (Math.imul(hash, 31) + (bytes[p] as number)) | 0
    const slot = (hash ^ (hash >>> 8)) & (SLOTS - 1)
    const known = this.#slots[slot]
    if (known !== undefined && known.bytes.length === end - start && startsWith(bytes, start, known.bytes)) return known.value
    const copy = Uint8Array.prototype.slice.call(bytes, start, end)
    const value = this.#read(Buffer.from(copy.buffer).toString('latin1'))
    this.#slots[slot] = { bytes: copy, value }
    return value
  }
}

const NOTHING = new Texts<unknown>(() => undefined)

interface RequestField {
  readonly name: string
  readonly wireName: Uint8Array
  readonly isRequired: boolean
  /** 1 for int, 2 for long; 0 for what `texts` reads. */
  readonly digits: 0 | 1 | 2
  readonly texts: Texts<unknown>
  readonly isIgnored: boolean
}

/** The fields of one command, ready to be recognised by their bytes. */
export class RequestFields {
  readonly all: readonly RequestField[]
  /** A header with all properties there, to be copied: so all have one shape. */
  readonly empty: Readonly<Record<string, unknown>>

  constructor(fields: Fields) {
    const own = Object.entries(fields).map(([name, field]): RequestField => {
      const shownName = field.wireName === undefined ? name : `${name} (${field.wireName})`
      return {
        name,
        wireName: ascii(field.wireName ?? name),
        isRequired: !field.optional,
        digits: field.kind === 'int' ? 1 : field.kind === 'long' ? 2 : 0,
        texts: new Texts((text) => parseField(shownName, field, text)),
        isIgnored: false,
      }
    })
    const declared = new Set(Object.entries(fields).map(([name, { wireName }]) => wireName ?? name))
    const ignored = RPC_FIELD_NAMES.filter((name) => !declared.has(name)).map(
      (name): RequestField => ({ name, wireName: ascii(name), isRequired: false, digits: 0, texts: NOTHING, isIgnored: true }),
    )
    this.all = [...own, ...ignored]
    this.empty = Object.fromEntries(own.map(({ name }) => [name, undefined]))
  }
}

const languages = new Texts<Language>((text) => LANGUAGES.find((name) => name === text) ?? 'OTHER')

/** What does not change from one request of a client to the next. */
interface RestOfHead {
  readonly code: number
  readonly flag: number
  readonly version: number
  readonly language: Language
}

/** One reader per server; what it found last is in its fields. */
export class JsonRequestReader {
  code = 0
  flag = 0
  opaque = 0
  version = 0
  language: Language = 'OTHER'
  #at = 0
  #seen = 0
  #opaqueAt = 0
  #opaqueEnd = 0
  readonly #repeated = new JsonRepeatedRequests<RestOfHead>()
  /** Fields of the latest header that are numbers, and where in the bytes they stand: start and end of each. */
  readonly #numberFields: RequestField[] = []
  readonly #numberPlaces: number[] = []

  /** A header that differs only in numbers from one that `remember` was told of. Instead of the other two calls. */
  readRepeated(bytes: Uint8Array, start: number, end: number, key: number): Record<string, unknown> | undefined {
    const header = this.#repeated.find(bytes, start, end, key)
    const rest = this.#repeated.rest
    if (header === undefined || rest === undefined) return undefined
    this.code = rest.code
    this.flag = rest.flag
    this.version = rest.version
    this.language = rest.language
    this.opaque = this.#repeated.opaque
    return header
  }

  /** That `header` was just read there. `key`: whose it is. */
  remember(bytes: Uint8Array, start: number, end: number, key: number, header: Readonly<Record<string, unknown>>): void {
    if (!this.#repeated.takes(end - start, key)) return
    const { code, flag, version, language } = this
    const places = this.#numberPlaces
    const numbers = this.#numberFields.map(
      ({ name, digits }, i): NumberPlace => ({
        start: (places[2 * i] as number) - start,
        end: (places[2 * i + 1] as number) - start,
        field: name,
        is32Bit: digits === 1,
      }),
    )
    numbers.push({ start: this.#opaqueAt - start, end: this.#opaqueEnd - start, field: undefined, is32Bit: true })
    this.#repeated.remember(bytes, start, end, key, { numbers, header, rest: { code, flag, version, language } })
  }

  /** The request's code, or -1. First of the two calls. */
  readCode(bytes: Uint8Array, start: number, end: number): number {
    if (end - start < 32 || !startsWith(bytes, start, BEFORE_CODE)) return -1
    this.#at = start + BEFORE_CODE.length
    this.code = this.#whole(bytes, end)
    return this.code
  }

  /** The rest, by the fields of the command with that code. Undefined when anything is not as most clients write it. */
  readRest(bytes: Uint8Array, end: number, fields: RequestFields): Record<string, unknown> | undefined {
    if (!startsWith(bytes, this.#at, BEFORE_EXT_FIELDS)) return undefined
    this.#at += BEFORE_EXT_FIELDS.length
    const header: Record<string, unknown> = { ...fields.empty }
    if (!this.#extFields(bytes, end, fields, header)) return undefined
    if (!startsWith(bytes, this.#at, BEFORE_FLAG)) return undefined
    this.#at += BEFORE_FLAG.length
    this.flag = this.#whole(bytes, end)
    if (this.flag < 0 || !startsWith(bytes, this.#at, BEFORE_LANGUAGE)) return undefined
    const start = this.#at + BEFORE_LANGUAGE.length
    const languageEnd = textEnd(bytes, start, end)
    if (languageEnd < 0) return undefined
    this.language = languages.get(bytes, start, languageEnd)
    if (!startsWith(bytes, languageEnd, BEFORE_OPAQUE)) return undefined
    this.#at = languageEnd + BEFORE_OPAQUE.length
    this.#opaqueAt = this.#at
    this.opaque = this.#whole(bytes, end)
    this.#opaqueEnd = this.#at
    if (this.opaque < 0 || this.opaque > 0x7fffffff || !startsWith(bytes, this.#at, BEFORE_VERSION)) return undefined
    this.#at += BEFORE_VERSION.length
    this.version = this.#whole(bytes, end)
    if (this.version < 0 || this.version > 0x7fffffff || this.flag > 0x7fffffff) return undefined
    return bytes[this.#at] === CLOSE && this.#at + 1 === end ? header : undefined
  }

  #extFields(bytes: Uint8Array, end: number, { all }: RequestFields, header: Record<string, unknown>): boolean {
    let p = this.#at
    if (bytes[p] === CLOSE) return false
    this.#seen = 0
    this.#numberFields.length = 0
    this.#numberPlaces.length = 0
    // Clients write the fields of a request in one order: mostly the next one is the one behind the last.
    let expected = 0
    for (;;) {
      if (bytes[p++] !== QUOTE) return false
      const keyStart = p
      while (p < end && bytes[p] !== QUOTE) p++
      if (bytes[p + 1] !== 0x3a || bytes[p + 2] !== QUOTE) return false
      const index = find(all, bytes, keyStart, p, expected)
      if (index < 0 || index > 30 || (this.#seen & (1 << index)) !== 0) return false
      this.#seen |= 1 << index
      expected = index + 1
      const field = all[index] as RequestField
      p += 3
      const valueEnd = this.#value(bytes, p, end, field, header)
      if (valueEnd < 0) return false
      p = valueEnd + 1
      const next = bytes[p++]
      if (next === CLOSE) break
      if (next !== COMMA) return false
    }
    this.#at = p
    for (let i = 0; i < all.length; i++) if ((all[i] as RequestField).isRequired && (this.#seen & (1 << i)) === 0) return false
    return true
  }

  /** Position of the value's closing quote, or -1. */
  #value(bytes: Uint8Array, start: number, end: number, field: RequestField, header: Record<string, unknown>): number {
    if (field.digits === 0) {
      const to = textEnd(bytes, start, end)
      if (to < 0) return -1
      if (field.isIgnored) return to
      // An empty text means something only to a field of text.
      if (to === start || to - start > TEXT_BYTES_MAX) return -1
      header[field.name] = field.texts.get(bytes, start, to)
      return to
    }
    const isNegative = bytes[start] === MINUS
    let p = isNegative ? start + 1 : start
    const digits = p
    let value = 0
    while (p < end && (bytes[p] as number) >= DIGIT_0 && (bytes[p] as number) <= 0x39) value = value * 10 + (bytes[p++] as number) - DIGIT_0
    if (p === digits || p - digits > DIGITS_MAX || bytes[p] !== QUOTE) return -1
    if (isNegative && value === 0) return -1
    if (isNegative) value = -value
    if (field.digits === 1 && (value | 0) !== value) return -1
    header[field.name] = value
    if (!isNegative) {
      this.#numberFields.push(field)
      this.#numberPlaces.push(digits, p)
    }
    return p
  }

  /** The digits at the place reached; -1 when there are none, or too many. */
  #whole(bytes: Uint8Array, end: number): number {
    let p = this.#at
    let value = 0
    while (p < end && (bytes[p] as number) >= DIGIT_0 && (bytes[p] as number) <= 0x39) value = value * 10 + (bytes[p++] as number) - DIGIT_0
    const count = p - this.#at
    const hasLeadingZero = count > 1 && bytes[this.#at] === DIGIT_0
    this.#at = p
    return count === 0 || count > DIGITS_MAX || hasLeadingZero ? -1 : value
  }
}

/** Index of the field with this key, looked for from `expected` on; -1 when the command has none. */
function find(all: readonly RequestField[], bytes: Uint8Array, start: number, end: number, expected: number): number {
  const length = end - start
  for (let i = 0, index = expected; i < all.length; i++, index++) {
    if (index >= all.length) index = 0
    const { wireName } = all[index] as RequestField
    if (wireName.length === length && startsWith(bytes, start, wireName)) return index
  }
  return -1
}

/** Position of the closing quote of plain ASCII without escapes, or -1. */
function textEnd(bytes: Uint8Array, start: number, end: number): number {
  let p = start
  for (; p < end; p++) {
    const byte = bytes[p] as number
    if (byte === QUOTE) return p
    if (byte === 0x5c || byte < 0x20 || byte > 0x7e) return -1
  }
  return -1
}
