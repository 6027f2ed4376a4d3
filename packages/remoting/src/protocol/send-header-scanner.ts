/**
 * Reads the JSON header of SEND_MESSAGE_V2 in one pass over its bytes, without making strings or objects.
 *
 * Why: JSON.parse plus the declared decoder cost about 2 us a header, this a third of it, and at full load that decides how many
 * messages a core takes. It is an accelerator, not a second definition: it accepts only headers in which nothing is unusual and declines
 * all others (returns false), which then take the declared decoder. A property test holds the two equal.
 */
const SEND_MESSAGE_V2 = 310
const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a
const COMMA = 0x2c
const OPEN = 0x7b
const CLOSE = 0x7d
const LETTER_A = 0x61

/** Index of each one-letter field of `SendMessageRequestHeaderV2` in `starts` and `ends`. */
export const SEND_FIELD = {
  producerGroup: 0,
  topic: 1,
  defaultTopic: 2,
  defaultTopicQueueNums: 3,
  queueId: 4,
  sysFlag: 5,
  bornTimestamp: 6,
  flag: 7,
  properties: 8,
  reconsumeTimes: 9,
  unitMode: 10,
  maxReconsumeTimes: 11,
  batch: 12,
  brokerName: 13,
} as const

const FIELD_COUNT = 14
const PROPERTIES = SEND_FIELD.properties
/** RocketMQ's limit for the property text (Short.MAX); longer ones take the declared path, which answers with the reason. */
const PROPERTIES_BYTES_MAX = 32_767
const NAME_SEPARATOR = 1
const PROPERTY_SEPARATOR = 2

export class SendHeaderScanner {
  code = 0
  opaque = 0
  flag = 0
  version = 0
  /** Byte positions of each field's text; a start of -1 means absent. Those of `properties` are not used: see below. */
  readonly starts = new Int32Array(FIELD_COUNT)
  readonly ends = new Int32Array(FIELD_COUNT)
  /** The property text with JSON's escapes resolved, up to `propertiesLength`. */
  readonly properties = Buffer.alloc(PROPERTIES_BYTES_MAX + 8)
  propertiesLength = 0
  /** For each property: where its name starts, its separator (\u0001), and where its value ends, in `properties`. */
  readonly nameStarts = new Int32Array(128)
  readonly nameEnds = new Int32Array(128)
  readonly valueEnds = new Int32Array(128)
  propertyCount = 0

  /** True when the header was understood completely. After false the fields mean nothing. */
  scan(bytes: Uint8Array, start: number, end: number): boolean {
    // A call of `fill` would cost more.
    for (let i = 0; i < FIELD_COUNT; i++) this.starts[i] = -1
    this.propertiesLength = 0
    this.propertyCount = 0
    this.code = -1
    this.opaque = 0
    this.flag = 0
    this.version = 0
    let p = start
    if (bytes[p++] !== OPEN) return false
    let seen = 0
    for (;;) {
      if (p >= end || bytes[p] !== QUOTE) return false
      const keyStart = ++p
      while (p < end && bytes[p] !== QUOTE) p++
      const length = p - keyStart
      if (bytes[p + 1] !== COLON) return false
      p += 2
      const first = bytes[keyStart]
      let bit = 0
      if (length === 4 && first === 0x63) bit = 1
      else if (length === 4 && first === 0x66) bit = 2
      else if (length === 6 && first === 0x6f) bit = 4
      else if (length === 7 && first === 0x76) bit = 8
      else if (length === 9 && first === 0x65) bit = 16
      else if (length === 8 && first === 0x6c) bit = 32
      else if (length === 23 && first === 0x73) bit = 64
      else return false
      if (seen & bit || !sameText(bytes, keyStart, KEYS[bit] as Uint8Array)) return false
      seen |= bit
      if (bit < 16) {
        let value = 0
        const digits = p
        while (p < end && (bytes[p] as number) >= 0x30 && (bytes[p] as number) <= 0x39) value = value * 10 + (bytes[p++] as number) - 0x30
        if (p === digits || p - digits > 9 || (bytes[digits] === 0x30 && p - digits > 1)) return false
        // Others than SEND_MESSAGE_V2 are not worth the rest.
        if (bit === 1 && value !== SEND_MESSAGE_V2) return false
        if (bit === 1) this.code = value
        else if (bit === 2) this.flag = value
        else if (bit === 4) this.opaque = value
        else this.version = value
      } else if (bit === 16) {
        p = this.#extFields(bytes, p, end)
        if (p < 0) return false
      } else {
        if (bytes[p++] !== QUOTE) return false
        while (p < end && bytes[p] !== QUOTE) if (unusual(bytes[p++] as number)) return false
        p++
      }
      const next = bytes[p++]
      if (next === CLOSE) return p === end && (seen & 5) === 5
      if (next !== COMMA) return false
    }
  }

  /** Position after the closing brace, or -1. */
  #extFields(bytes: Uint8Array, start: number, end: number): number {
    const { starts, ends } = this
    let p = start
    if (bytes[p++] !== OPEN) return -1
    if (bytes[p] === CLOSE) return p + 1
    for (;;) {
      const index = (bytes[p + 1] as number) - LETTER_A
      if (p + 4 >= end || bytes[p] !== QUOTE || bytes[p + 2] !== QUOTE || bytes[p + 3] !== COLON) return -1
      if (!(index >= 0 && index < FIELD_COUNT) || starts[index] !== -1) return -1
      p += 4
      if (bytes[p] === QUOTE) {
        p++
        starts[index] = p
        if (index === PROPERTIES) {
          p = this.#properties(bytes, p, end)
          if (p < 0) return -1
        } else {
          while (p < end && bytes[p] !== QUOTE) if (unusual(bytes[p++] as number)) return -1
        }
        ends[index] = p++
      } else {
        // A raw number or boolean, as JavaScript clients send them.
        if (index === PROPERTIES) return -1
        starts[index] = p
        p = rawEnd(bytes, p, end)
        if (p < 0) return -1
        ends[index] = p
      }
      const next = bytes[p++]
      if (next === CLOSE) return p
      if (next !== COMMA) return -1
    }
  }

  /** Resolves escapes into `properties` and notes where names and values lie. Position of the closing quote, or -1. */
  #properties(bytes: Uint8Array, start: number, end: number): number {
    const out = this.properties
    let p = start
    let length = 0
    let nameStart = 0
    let nameEnd = -1
    let count = 0
    for (;;) {
      if (p >= end || length > PROPERTIES_BYTES_MAX) return -1
      let byte = bytes[p++] as number
      if (byte === QUOTE) break
      if (byte < 0x20) return -1
      if (byte === BACKSLASH) {
        byte = bytes[p++] as number
        if (byte === 0x75) {
          // \u00XX below 0x80 only: the separators. Others decline.
          if (bytes[p] !== 0x30 || bytes[p + 1] !== 0x30) return -1
          const high = hexDigit(bytes[p + 2] as number)
          const low = hexDigit(bytes[p + 3] as number)
          if (high < 0 || high > 7 || low < 0) return -1
          byte = high * 16 + low
          p += 4
          if (byte === NAME_SEPARATOR && nameEnd < 0) nameEnd = length
          else if (byte === PROPERTY_SEPARATOR) {
            if (nameEnd <= nameStart || nameEnd + 1 >= length || count === 128) return -1
            this.nameStarts[count] = nameStart
            this.nameEnds[count] = nameEnd
            this.valueEnds[count++] = length
            nameStart = length + 1
            nameEnd = -1
          }
        } else if (byte === 0x6e) byte = 0x0a
        else if (byte === 0x74) byte = 0x09
        else if (byte === 0x72) byte = 0x0d
        else if (byte !== QUOTE && byte !== BACKSLASH && byte !== 0x2f) return -1
      }
      out[length++] = byte
    }
    // A text without its last separator is legal but unusual.
    if (nameStart !== length) return -1
    this.propertiesLength = length
    this.propertyCount = count
    return p - 1
  }

  /** A field as a whole number ≥ 0, or -1 when it is absent, negative or not plain digits. */
  number(bytes: Uint8Array, index: number): number {
    const start = this.starts[index] as number
    const end = this.ends[index] as number
    if (start < 0 || start === end || end - start > 15) return -1
    let value = 0
    for (let p = start; p < end; p++) {
      const digit = (bytes[p] as number) - 0x30
      if (digit < 0 || digit > 9) return -1
      value = value * 10 + digit
    }
    return value
  }
}

const KEYS: Readonly<Record<number, Uint8Array>> = {
  1: Buffer.from('code'),
  2: Buffer.from('flag'),
  4: Buffer.from('opaque'),
  8: Buffer.from('version'),
  16: Buffer.from('extFields'),
  32: Buffer.from('language'),
  64: Buffer.from('serializeTypeCurrentRPC'),
}

function sameText(bytes: Uint8Array, start: number, text: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text[i]) return false
  return true
}

/** Inside a string that is not the properties: an escape or a control byte. */
const unusual = (byte: number): boolean => byte === BACKSLASH || byte < 0x20

const TRUE = Buffer.from('true')
const FALSE = Buffer.from('false')

/** End of a raw whole number ≥ 0, true or false; -1 for all else. */
function rawEnd(bytes: Uint8Array, start: number, end: number): number {
  if (sameText(bytes, start, TRUE)) return start + 4
  if (sameText(bytes, start, FALSE)) return start + 5
  let p = start
  while (p < end && (bytes[p] as number) >= 0x30 && (bytes[p] as number) <= 0x39) p++
  // JSON.parse rounds beyond 15 digits, and knows no leading zeros.
  if (p === start || p - start > 15 || (p - start > 1 && bytes[start] === 0x30)) return -1
  return p
}

const hexDigit = (byte: number): number =>
  byte >= 0x30 && byte <= 0x39 ? byte - 0x30 : byte >= 0x61 && byte <= 0x66 ? byte - 0x57 : byte >= 0x41 && byte <= 0x46 ? byte - 0x37 : -1
