/**
 * Requests of one client differ little: the opaque, an offset, a queue id, mostly of as many digits as before. Of a header that was read byte by byte
 * is remembered where its numbers stand; in the next one of its length only those are read, when all else is the same.
 * Whatever else changed, the header is read byte by byte.
 */
const DIGIT_0 = 0x30
const SLOTS = 64
const HEADER_BYTES_MAX = 1024
const CHUNK_BYTES_MAX = 256 * 1024
/** One in so many headers that are not like the one in their place takes it: remembering costs some of what reading does. */
const REPLACED_EVERY = 4
const NUMBERS_MAX = 30

/** A number of a header: where it stands, and what it is called. */
export interface NumberPlace {
  readonly start: number
  readonly end: number
  /** Undefined: the opaque. */
  readonly field: string | undefined
  readonly is32Bit: boolean
}

class Remembered<T> {
  readonly length: number
  /** The header, eight bytes at a time; the last eight may be some of those before. As float64: it is ASCII, so that none is NaN or 0. */
  readonly bytes: Float64Array
  /** What of it must be the same, four bytes at a time, two for each of `bytes`. */
  readonly words: Int32Array
  readonly masks: Int32Array
  /** Which of its numbers stand in each of `bytes`, a bit for each. */
  readonly numbersIn: Int32Array
  readonly numbers: readonly NumberPlace[]
  readonly opaque: number
  readonly header: Readonly<Record<string, unknown>>
  readonly rest: T
  misses = 0

  constructor(bytes: Uint8Array, numbers: readonly NumberPlace[], header: Readonly<Record<string, unknown>>, rest: T) {
    const mask = new Uint8Array(bytes.length).fill(0xff)
    for (const { start, end } of numbers) mask.fill(0, start, end)
    this.length = bytes.length
    this.bytes = new Float64Array(inEights(bytes))
    this.words = new Int32Array(inEights(bytes))
    this.masks = new Int32Array(inEights(mask))
    this.numbersIn = Int32Array.from(this.bytes, (_, i) => numbersIn(Math.min(8 * i, bytes.length - 8), numbers))
    this.numbers = numbers
    const opaque = numbers.find(({ field }) => field === undefined)
    this.opaque = opaque === undefined ? 0 : numberIn(bytes, opaque.start, opaque.end)
    this.header = header
    this.rest = rest
  }
}

const numbersIn = (at: number, numbers: readonly NumberPlace[]): number =>
  numbers.reduce((bits, { start, end }, i) => (start < at + 8 && end > at ? bits | (1 << i) : bits), 0)

function inEights(bytes: Uint8Array): ArrayBuffer {
  const eights = new Uint8Array(Math.ceil(bytes.length / 8) * 8)
  for (let at = 0; at < eights.length; at += 8) eights.set(bytes.subarray(Math.min(at, bytes.length - 8)).subarray(0, 8), at)
  return eights.buffer
}

/** `T`: what else there is to know of a request. */
export class JsonRepeatedRequests<T> {
  /** What `find` found. */
  opaque = 0
  rest: T | undefined
  #viewed: Uint8Array | undefined
  #view: DataView = new DataView(new ArrayBuffer(0))
  readonly #slots: (Remembered<T> | undefined)[] = Array.from({ length: SLOTS }, () => undefined)

  /** The fields of the header in `bytes[start, end)`, or undefined. `key`: who asks. */
  find(bytes: Uint8Array, start: number, end: number, key: number): Record<string, unknown> | undefined {
    const known = this.#slots[slotOf(end - start, key)]
    // A large frame that came in parts is not held on to.
    if (known === undefined || known.length !== end - start || bytes.length > CHUNK_BYTES_MAX) return undefined
    const changed = changesOf(known, this.#viewOf(bytes), start)
    if (changed < 0) return undefined
    const header: Record<string, unknown> = { ...known.header }
    this.opaque = known.opaque
    for (let rest = changed; rest !== 0; rest &= rest - 1) {
      const place = known.numbers[31 - Math.clz32(rest & -rest)] as NumberPlace
      const value = numberIn(bytes, start + place.start, start + place.end)
      if (value < 0 || (place.is32Bit && value > 0x7fffffff)) return undefined
      if (place.field === undefined) this.opaque = value
      else header[place.field] = value
    }
    this.rest = known.rest
    return header
  }

  /** Frames of one chunk are in the same bytes. */
  #viewOf(bytes: Uint8Array): DataView {
    if (bytes !== this.#viewed) {
      this.#viewed = bytes
      this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    }
    return this.#view
  }

  /** Is a header of this length, which was not found, to be remembered? */
  takes(length: number, key: number): boolean {
    if (length > HEADER_BYTES_MAX) return false
    const present = this.#slots[slotOf(length, key)]
    return present === undefined || ++present.misses % REPLACED_EVERY === 0
  }

  /** Remembers the header that was read there; places of its numbers count from its start. */
  remember(
    bytes: Uint8Array,
    start: number,
    end: number,
    key: number,
    read: {
      readonly numbers: readonly NumberPlace[]
      readonly header: Readonly<Record<string, unknown>>
      readonly rest: T
    },
  ): void {
    const { numbers, header, rest } = read
    if (numbers.length > NUMBERS_MAX) return
    this.#slots[slotOf(end - start, key)] = new Remembered(Uint8Array.prototype.slice.call(bytes, start, end), numbers, { ...header }, rest)
  }
}

const slotOf = (length: number, key: number): number => (length + Math.imul(key, 13)) & (SLOTS - 1)

/** A bit for each of its numbers that is written otherwise there; -1 when something else is. */
function changesOf({ bytes, words, masks, numbersIn, length }: Remembered<unknown>, view: DataView, start: number): number {
  const lastAt = start + length - 8
  let changes = 0
  for (let i = 0, at = start; i < bytes.length; i++, at += 8) {
    if (at > lastAt) at = lastAt
    if (view.getFloat64(at, true) === bytes[i]) continue
    const low = view.getInt32(at, true) ^ (words[2 * i] as number)
    const high = view.getInt32(at + 4, true) ^ (words[2 * i + 1] as number)
    if (((low & (masks[2 * i] as number)) | (high & (masks[2 * i + 1] as number))) !== 0) return -1
    changes |= numbersIn[i] as number
  }
  return changes
}

/** -1 for what is not written as JSON writes whole numbers. */
function numberIn(bytes: Uint8Array, start: number, end: number): number {
  if (bytes[start] === DIGIT_0 && end - start > 1) return -1
  let value = 0
  for (let p = start; p < end; p++) {
    const digit = (bytes[p] as number) - DIGIT_0
    if (digit < 0 || digit > 9) return -1
    value = value * 10 + digit
  }
  return value
}
