import { RocketError } from './rocket-error.ts'

/**
 * The JSON of RocketMQ's bodies: what fastjson writes and what its readers accept, which is more than JSON. Beside JSON it takes
 * unquoted integer keys (`{0:"a"}`), objects as keys (`{{"queueId":0}:1}`), single quotes, bare words as keys and trailing commas.
 *
 * - Whole numbers beyond 2^53 become bigint, others number.
 * - An object becomes one without prototype, so that no key (`__proto__`, `constructor`) means anything. Of equal keys the last counts.
 * - An object with at least one object as key becomes a Map; its other keys are text. `pairsOf` reads either.
 * - Time is linear in the text. Nesting deeper than 64 is refused.
 */
export function parseFastjson(text: string): unknown {
  const parser = new Parser(text)
  const value = parser.value(0)
  parser.space()
  if (parser.at < text.length) throw parser.error('the end of the text')
  return value
}

export const JSON_MAX_DEPTH = 64

const SPACE = /[\s\ufeff]*/y
const PLAIN = { '"': /[^"\\]*/y, "'": /[^'\\]*/y } as const
const NUMBER = /-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?[LBSFD]?/y
const WORD = /[A-Za-z_$][\w$]*/y
const WHOLE = /^-?\d+$/
const ESCAPES: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v', '0': '\0' }
/** More digits than this cannot be a number of RocketMQ's, and converting them costs their square. */
const MAX_DIGITS = 400

class Parser {
  at = 0
  readonly text: string

  constructor(text: string) {
    this.text = text
  }

  error(expected: string): RocketError {
    const found = this.at < this.text.length ? JSON.stringify(this.text.slice(this.at, this.at + 16)) : 'the end'
    return new RocketError(`the JSON body breaks at character ${this.at}: expected ${expected}, found ${found}`, {
      code: 'INVALID_PARAMETER',
    })
  }

  space(): void {
    const code = this.text.charCodeAt(this.at)
    if (code > 32 && code < 127) return
    SPACE.lastIndex = this.at
    SPACE.exec(this.text)
    this.at = SPACE.lastIndex
  }

  take(char: string): boolean {
    this.space()
    if (this.text[this.at] !== char) return false
    this.at++
    return true
  }

  match(pattern: RegExp): string {
    pattern.lastIndex = this.at
    const found = pattern.exec(this.text)
    if (found === null) return ''
    this.at = pattern.lastIndex
    return found[0]
  }

  value(depth: number): unknown {
    if (depth > JSON_MAX_DEPTH) throw this.error(`nesting of at most ${JSON_MAX_DEPTH} levels`)
    this.space()
    const char = this.text[this.at]
    if (char === '{') return this.object(depth)
    if (char === '[') return this.list(depth)
    if (char === '"' || char === "'") return this.string(char)
    const start = this.at
    const digits = this.match(NUMBER)
    if (digits !== '') return this.number(digits, start)
    const word = this.match(WORD)
    if (word === 'true') return true
    if (word === 'false') return false
    if (word === 'null' || word === 'undefined') return null
    if (word === 'NaN') return Number.NaN
    this.at = start
    throw this.error('a value')
  }

  number(found: string, start: number): number | bigint {
    const digits = /[LBSFD]$/.test(found) ? found.slice(0, -1) : found
    if (digits.length > MAX_DIGITS) {
      this.at = start
      throw this.error(`a number of at most ${MAX_DIGITS} digits`)
    }
    const value = Number(digits)
    return !Number.isSafeInteger(value) && WHOLE.test(digits) ? BigInt(digits) : value
  }

  string(quote: '"' | "'"): string {
    this.at++
    let value = own(this.match(PLAIN[quote]))
    for (;;) {
      const char = this.text[this.at]
      if (char === undefined) throw this.error(`the closing ${quote}`)
      this.at++
      if (char === quote) return value
      value += this.escape() + this.match(PLAIN[quote])
    }
  }

  escape(): string {
    const char = this.text[this.at] ?? ''
    this.at++
    const length = char === 'u' ? 4 : char === 'x' ? 2 : 0
    if (length === 0) return ESCAPES[char] ?? char
    const hex = this.text.slice(this.at, this.at + length)
    if (hex.length < length || !/^[0-9a-fA-F]+$/.test(hex)) throw this.error(`${length} hexadecimal digits`)
    this.at += length
    return String.fromCharCode(Number.parseInt(hex, 16))
  }

  list(depth: number): unknown[] {
    this.at++
    const items: unknown[] = []
    while (!this.take(']')) {
      items.push(this.value(depth + 1))
      if (this.take(',')) continue
      if (this.take(']')) break
      throw this.error('"," or "]"')
    }
    return items
  }

  key(depth: number): unknown {
    this.space()
    const char = this.text[this.at]
    if (char === '"' || char === "'") return this.string(char)
    if (char === '{' || char === '[') return this.value(depth + 1)
    const key = this.match(NUMBER) || this.match(WORD)
    if (key === '') throw this.error('a key')
    return key
  }

  object(depth: number): unknown {
    this.at++
    const plain: Record<string, unknown> = Object.create(null)
    let map: Map<unknown, unknown> | undefined
    while (!this.take('}')) {
      const key = this.key(depth)
      if (!this.take(':')) throw this.error('":"')
      const value = this.value(depth + 1)
      if (typeof key !== 'string') map ??= new Map(Object.entries(plain))
      if (map === undefined) plain[key as string] = value
      else map.set(key, value)
      if (this.take(',')) continue
      if (this.take('}')) break
      throw this.error('"," or "}"')
    }
    return map ?? plain
  }
}

/** Smaller texts are read by `parseFastjson` alone. */
const LARGE_TEXT_BYTES = 16384
/** 16 digits may be beyond 2^53. */
const SAFE_DIGITS = 15

/** From this length on the engine has a piece of a text refer to all of it: that stays then, and each comparison takes several times as long. */
const PIECE_LENGTH_MIN = 13
const own = (piece: string): string => (piece.length < PIECE_LENGTH_MIN ? piece : (JSON.parse(JSON.stringify(piece)) as string))

/**
 * `parseFastjson` of UTF-8 bytes. Large ones that look like strict JSON with safe numbers (a registration of thousands of topics) go
 * through JSON.parse, several times as fast; one pass over the bytes decides. Their objects have a prototype: read own keys only.
 */
export function parseFastjsonBytes(bytes: Buffer): unknown {
  if (bytes.length >= LARGE_TEXT_BYTES && isShallowAndSafe(bytes)) {
    try {
      return JSON.parse(bytes.toString('utf8'))
    } catch {
      // Not strict JSON: read tolerantly, or refused with a position.
    }
  }
  return parseFastjson(bytes.toString('utf8'))
}

function isShallowAndSafe(bytes: Buffer): boolean {
  let depth = 0
  let digits = 0
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] as number
    if (byte >= 0x30 && byte <= 0x39) {
      if (++digits > SAFE_DIGITS) return false
      continue
    }
    digits = 0
    if (byte === 0x22) {
      for (at++; at < bytes.length && bytes[at] !== 0x22; at++) if (bytes[at] === 0x5c) at++
    } else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > JSON_MAX_DEPTH) return false
    } else if (byte === 0x7d || byte === 0x5d) depth--
  }
  return true
}

/** Keys and values of a parsed object, whatever its keys are. A text key that is itself an object in JSON is parsed. */
export function pairsOf(value: unknown): (readonly [unknown, unknown])[] {
  if (value instanceof Map) return [...value]
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return []
  return Object.entries(value).map(([key, v]) => [key.startsWith('{') ? parseFastjson(key) : key, v] as const)
}

/**
 * Writes compact JSON as fastjson does. A Map's keys are written as they are: objects as JSON without quotes around them, numbers
 * unquoted (`{0:"a"}`); plain objects give strict JSON. bigint is written as digits, undefined is left out (null in a list).
 */
export function stringifyFastjson(value: unknown): string {
  return isPlainJson(value) ? (JSON.stringify(value) ?? 'null') : stringify(value)
}

/** Nothing in it that JSON.stringify, several times as fast, writes otherwise. */
function isPlainJson(value: unknown): boolean {
  if (typeof value === 'bigint') return false
  if (typeof value !== 'object' || value === null) return true
  if (value instanceof Map || value instanceof Set || value instanceof Date || ArrayBuffer.isView(value)) return false
  if (Array.isArray(value)) return value.every(isPlainJson)
  for (const key in value) if (!isPlainJson((value as Record<string, unknown>)[key])) return false
  return true
}

function stringify(value: unknown): string {
  if (value === null || value === undefined) return 'null'
  if (typeof value === 'bigint') return value.toString()
  if (typeof value !== 'object') return JSON.stringify(value) ?? 'null'
  if (Array.isArray(value)) return `[${value.map(stringify).join(',')}]`
  if (value instanceof Set) return stringify([...value])
  const entries = value instanceof Map ? value.entries() : Object.entries(value)
  let text = ''
  for (const [key, v] of entries) {
    if (v === undefined) continue
    text += `${text === '' ? '' : ','}${stringify(key)}:${stringify(v)}`
  }
  return `{${text}}`
}

/** Java's `String.hashCode`: over UTF-16 units, 32 bits, signed. The tag's code in consume queues. */
export function javaStringHash(text: string): number {
  let hash = 0
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0
  return hash
}
