/**
 * Values as RocketMQ's filter compares them (RocketMQ 5.3 `ComparisonExpression#__compare`). Properties are texts; what they are compared
 * with decides how they are read: `a > 5` needs a whole number of 32 bits, `a > 5.0` any number.
 */
export type Value = string | boolean | number | Whole | undefined

/** Java's Integer and Long. A `number` is Java's Double. */
export interface Whole {
  readonly bits: 32 | 64
  readonly value: number | bigint
}

/** Longer texts are not read as numbers: it bounds what one comparison costs. */
const NUMBER_CHARACTERS = 512
const MIN_INT = -(2 ** 31)
const MAX_INT = 2 ** 31 - 1
const MIN_LONG = -(2n ** 63n)
const MAX_LONG = 2n ** 63n - 1n
const SAFE_DIGITS = 15

/** Thrown by an evaluation that Apache's would leave by an exception: the message does not match. One object, so that it costs little. */
export const EVALUATION_FAILED: Error = new Error('a value cannot be compared')

export const wholeOf = (value: bigint): Whole =>
  value >= MIN_INT && value <= MAX_INT ? { bits: 32, value: Number(value) } : { bits: 64, value }
export const isLong = (value: bigint): boolean => value >= MIN_LONG && value <= MAX_LONG

/** Negative, 0 or positive. Throws EVALUATION_FAILED. */
export function compare(left: Exclude<Value, undefined>, right: Exclude<Value, undefined>): number {
  if (typeof left === 'string') return compareText(left, right)
  if (typeof left === 'boolean') {
    // Apache converts the wrong side here, which fails: TRUE = a never matches, a = TRUE does.
    if (typeof right === 'string') throw EVALUATION_FAILED
    return typeof right === 'boolean' ? Number(left) - Number(right) : -1
  }
  if (typeof right === 'boolean') return -1
  if (typeof left === 'number') {
    if (typeof right === 'string') return compareDoubles(left, parseDouble(right))
    return compareDoubles(left, typeof right === 'number' ? right : Number(right.value))
  }
  if (typeof right === 'string') return order(left.value, parseWhole(right, left.bits))
  return typeof right === 'number' ? compareDoubles(Number(left.value), right) : order(left.value, right.value)
}

function compareText(left: string, right: Exclude<Value, undefined>): number {
  if (typeof right === 'string') return left === right ? 0 : left < right ? -1 : 1
  if (typeof right === 'boolean') return Number(left.toLowerCase() === 'true') - Number(right)
  if (typeof right === 'number') return compareDoubles(parseDouble(left), right)
  return order(parseWhole(left, right.bits), right.value)
}

const order = (left: number | bigint, right: number | bigint): number => (left < right ? -1 : left > right ? 1 : 0)

/** Java `Double#compareTo`: NaN is the largest and equals itself; -0.0 lies below 0.0. */
export function compareDoubles(left: number, right: number): number {
  if (left < right) return -1
  if (left > right) return 1
  if (left === right) return left !== 0 ? 0 : order(1 / left, 1 / right)
  return Number(Number.isNaN(left)) - Number(Number.isNaN(right))
}

/** Java `Integer#valueOf` and `Long#valueOf`. Digits of other scripts, which Java takes, are not read. */
function parseWhole(text: string, bits: 32 | 64): number | bigint {
  if (text.length > NUMBER_CHARACTERS || !/^[+-]?\d+$/.test(text)) throw EVALUATION_FAILED
  if (bits === 32) {
    const value = Number(text)
    if (value < MIN_INT || value > MAX_INT) throw EVALUATION_FAILED
    return value
  }
  if (text.length <= SAFE_DIGITS) return Number(text)
  const value = BigInt(text.startsWith('+') ? text.slice(1) : text)
  if (!isLong(value)) throw EVALUATION_FAILED
  return value
}

/** Java `Double#valueOf` without its hexadecimal form. */
export function parseDouble(text: string): number {
  const found = text.length > NUMBER_CHARACTERS ? null : DOUBLE.exec(trimJava(text))
  if (found === null) throw EVALUATION_FAILED
  const value = Number(found[2] ?? found[3])
  return found[1] === '-' ? -value : value
}

const DOUBLE = /^([+-]?)(?:(NaN|Infinity)|((?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)[fFdD]?)$/

/** Java `String#trim`. */
function trimJava(text: string): string {
  let start = 0
  let end = text.length
  while (start < end && text.charCodeAt(start) <= 32) start++
  while (end > start && text.charCodeAt(end - 1) <= 32) end--
  return text.slice(start, end)
}
