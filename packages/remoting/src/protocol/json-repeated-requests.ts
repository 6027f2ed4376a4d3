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
  /** The header and what of it must be the same, four bytes at a time; the last four may be some of those before. */
  readonly words: Int32Array
  readonly masks: Int32Array
  readonly numbers: readonly NumberPlace[]
  readonly values: readonly number[]
  readonly header: Readonly<Record<string, unknown>>
  readonly rest: T
  misses = 0

  constructor(bytes: Uint8Array, numbers: readonly NumberPlace[], header: Readonly<Record<string, unknown>>, rest: T) {
    const mask = new Uint8Array(bytes.length).fill(0xff)
    for (const { start, end } of numbers) mask.fill(0, start, end)
    this.length = bytes.length
    this.masks = wordsOf(mask)
    this.words = wordsOf(bytes).map((word, i) => word & (this.masks[i] as number))
    this.numbers = numbers
    this.values = numbers.map(({ start, end }) => numberIn(bytes, start, end))
    this.header = header
    this.rest = rest
  }
}

function wordsOf(bytes: Uint8Array): Int32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  return Int32Array.from({ length: Math.ceil(bytes.length / 4) }, (_, i) => view.getInt32(Math.min(4 * i, bytes.length - 4)))
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
    if (!isLike(known, this.#viewOf(bytes), start)) return undefined
    const header: Record<string, unknown> = { ...known.header }
    for (let i = 0; i < known.numbers.length; i++) {
      const place = known.numbers[i] as NumberPlace
      const value = numberIn(bytes, start + place.start, start + place.end)
      if (value < 0 || (place.is32Bit && value > 0x7fffffff)) return undefined
      if (place.field === undefined) this.opaque = value
      else if (value !== known.values[i]) header[place.field] = value
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

function isLike({ words, masks, length }: Remembered<unknown>, view: DataView, start: number): boolean {
  const last = words.length - 1
  for (let i = 0, at = start; i < last; i++, at += 4) {
    if ((view.getInt32(at) & (masks[i] as number)) !== words[i]) return false
  }
  return (view.getInt32(start + length - 4) & (masks[last] as number)) === words[last]
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
