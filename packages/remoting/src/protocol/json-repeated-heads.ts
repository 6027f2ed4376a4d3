/**
 * Answers of one kind differ little: the opaque, offsets, the length of the body. A head whose values are whole numbers is remembered with the
 * places where they stand; in the next one that has as many digits only those are written that changed, and all of it is copied.
 */
import { Buffer } from 'node:buffer'
import { BEFORE_OPAQUE } from './json-header-text.ts'
import type { JsonHead, Plan, Values } from './json-head.ts'
import { isDigits, planOf, putDigits } from './json-head.ts'
import type { Fields } from './schema.ts'

/** Heads that are alike but for their numbers of digits have each a place. */
const SLOTS = 64
const HEAD_BYTES_MAX = 1024
/** One in so many heads that are not like the one in their place takes it: remembering costs more than writing. */
const REPLACED_EVERY = 4

/** Where a whole number stands, and which others have as many digits; `end` 0: nowhere. */
interface Place {
  readonly start: number
  readonly end: number
  readonly from: number
  readonly below: number
}
const NOWHERE: Place = { start: 0, end: 0, from: 0, below: 0 }

function placeOf(value: unknown, start: number): Place {
  if (!isDigits(value)) return NOWHERE
  const { length } = String(value)
  return { start, end: start + length, from: length === 1 ? 0 : 10 ** (length - 1), below: 10 ** length }
}

class Remembered {
  readonly bytes: Buffer
  readonly head: JsonHead
  readonly values: unknown[]
  readonly places: readonly Place[]
  readonly opaquePlace: Place
  opaque: number
  bodyLength: number
  misses = 0

  constructor(bytes: Buffer, keys: readonly Uint8Array[], values: readonly unknown[], head: JsonHead) {
    this.bytes = bytes
    this.head = { ...head }
    this.values = [...values]
    // No value has what surrounds it: JSON escapes its quotes.
    this.places = values.map((value, i) => placeOf(value, bytes.indexOf(keys[i] as Uint8Array) + (keys[i] as Uint8Array).length))
    this.opaquePlace = placeOf(head.opaque, bytes.lastIndexOf(BEFORE_OPAQUE) + BEFORE_OPAQUE.length)
    this.opaque = head.opaque
    this.bodyLength = head.bodyLength
  }

  /** False: it does not fit there. */
  put({ start, end, from, below }: Place, value: unknown): boolean {
    if (!isDigits(value) || value < from || value >= below) return false
    putDigits(this.bytes, start, end, value)
    return true
  }
}

/** False: they are in another order than their names. Several times as fast as by name: the engine knows the place of the key that is next. */
function takeInOrder(target: unknown[], names: readonly string[], values: Values): boolean {
  // Only of objects with keys: from others the engine would learn to look each one up.
  if (names.length === 0) return true
  let i = 0
  for (const name in values) {
    while (i < names.length && names[i] !== name) target[i++] = undefined
    if (i === names.length) return false
    target[i++] = values[name]
  }
  while (i < names.length) target[i++] = undefined
  return true
}

/** Of one kind of frame. */
export class JsonRepeatedHeads {
  readonly #plan: Plan
  /** Texts mostly differ from one answer to the next. */
  readonly #isForNumbers: boolean
  readonly #slots: (Remembered | undefined)[] = Array.from({ length: SLOTS }, () => undefined)
  /** What `find` was asked for. */
  readonly #values: unknown[]
  #slot = 0

  constructor(fields: Fields) {
    this.#plan = planOf(fields)
    this.#isForNumbers = Object.values(fields).every(({ kind }) => kind === 'int' || kind === 'long')
    this.#values = this.#plan.names.map(() => undefined)
  }

  /** The bytes of this head, to be copied before the next call; undefined: it is to be written, and `remember` told. */
  find(values: Values, head: JsonHead): Uint8Array | undefined {
    if (!this.#isForNumbers) return undefined
    const asked = this.#values
    const { names } = this.#plan
    if (!takeInOrder(asked, names, values)) for (let i = 0; i < asked.length; i++) asked[i] = values[names[i] as string]
    let hash = Math.imul(head.code, 31) + Math.clz32(head.opaque)
    for (let i = 0; i < asked.length; i++) {
      const value = asked[i]
      hash = Math.imul(hash, 31) + (typeof value === 'number' ? Math.clz32(value) : 33)
    }
    this.#slot = (hash ^ (hash >>> 8)) & (SLOTS - 1)
    const known = this.#slots[this.#slot]
    if (known === undefined) return undefined
    const { code, flag, language, remark } = known.head
    if (code !== head.code || flag !== head.flag || language !== head.language || remark !== head.remark) return undefined
    for (let i = 0; i < asked.length; i++) {
      const value = asked[i]
      if (value === known.values[i]) continue
      if (!known.put(known.places[i] as Place, value)) return undefined
      known.values[i] = value
    }
    if (head.opaque !== known.opaque) {
      if (!known.put(known.opaquePlace, head.opaque)) return undefined
      known.opaque = head.opaque
    }
    const { bytes } = known
    if (head.bodyLength !== known.bodyLength) bytes.writeInt32BE(bytes.length - 4 + head.bodyLength, 0)
    known.bodyLength = head.bodyLength
    return bytes
  }

  /** That the head which was not found was written there. */
  remember(bytes: Uint8Array, start: number, end: number, head: JsonHead): void {
    if (!this.#isForNumbers || end - start > HEAD_BYTES_MAX) return
    const present = this.#slots[this.#slot]
    if (present !== undefined && ++present.misses % REPLACED_EVERY !== 0) return
    const copy = Buffer.from(Uint8Array.prototype.slice.call(bytes, start, end).buffer)
    this.#slots[this.#slot] = new Remembered(copy, this.#plan.keys, this.#values, head)
  }
}
