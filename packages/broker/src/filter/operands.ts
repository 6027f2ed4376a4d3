import type { Lexer, Token } from './lexer.ts'
import { quoted } from './sql-error.ts'
import { compare, parseDouble, wholeOf } from './values.ts'
import type { Value } from './values.ts'

/** The values of the expression's properties in one message, by slot. */
export type Values = readonly (string | undefined)[]
/** Three-valued: undefined is SQL's unknown. Throws EVALUATION_FAILED. */
export type Test = (values: Values) => boolean | undefined

interface Part {
  /** What an error points at. */
  readonly token: Token
  /** How many calls evaluating it nests. */
  readonly depth: number
}
export type Operand = Part &
  (
    | { readonly kind: 'constant'; readonly value: Exclude<Value, undefined | boolean> }
    | { readonly kind: 'property'; readonly slot: number }
    | { readonly kind: 'negated'; readonly read: (values: Values) => Value }
    /** `literal`: TRUE, FALSE or NULL (null) itself. */
    | { readonly kind: 'condition'; readonly test: Test; readonly literal?: boolean | null }
  )

const reader = (operand: Operand): ((values: Values) => Value) => {
  if (operand.kind === 'negated') return operand.read
  if (operand.kind === 'condition') return operand.test
  if (operand.kind === 'constant') return () => operand.value
  const { slot } = operand
  return (values) => values[slot]
}

/** RocketMQ 5.3 `SelectorParser#asBooleanExpression`: a property alone is a condition, though one that no text fulfils. */
export function asTest(lexer: Lexer, operand: Operand): Test {
  if (operand.kind === 'condition') return operand.test
  if (operand.kind !== 'property') lexer.fail(operand.token, `${quoted(operand.token.text)} is a value, expected a condition as in a = 1`)
  const { slot } = operand
  return (values) => (values[slot] === undefined ? undefined : false)
}

export const literal = (value: boolean | null, token: Token): Operand => {
  const truth = value ?? undefined
  return { kind: 'condition', token, depth: 1, literal: value, test: () => truth }
}

export const not =
  (test: Test): Test =>
  (values) => {
    const truth = test(values)
    return truth === undefined ? undefined : !truth
  }

/** Many at once, so that long chains nest no deeper than short ones. True as soon as one is; all others are asked, as an error counts. */
export const anyOf =
  (tests: readonly Test[]): Test =>
  (values) => {
    let truth: boolean | undefined = false
    for (const test of tests) {
      const one = test(values)
      if (one === true) return true
      if (one === undefined) truth = undefined
    }
    return truth
  }

export const allOf =
  (tests: readonly Test[]): Test =>
  (values) => {
    let truth: boolean | undefined = true
    for (const test of tests) {
      const one = test(values)
      if (one === false) return false
      if (one === undefined) truth = undefined
    }
    return truth
  }

/** Only numbers have a negative; of all else it is null. */
export function negate(operand: Operand, token: Token): Operand {
  const read = reader(operand)
  const negative = (values: Values): Value => {
    const value = read(values)
    if (typeof value === 'number') return -value
    if (typeof value !== 'object') return undefined
    // Java keeps an Integer an Integer and a Long a Long, also -2147483648.
    return { bits: value.bits, value: -value.value }
  }
  if (operand.kind === 'constant') {
    const value = negative([])
    return { kind: 'negated', token, depth: operand.depth, read: () => value }
  }
  return { kind: 'negated', token, depth: operand.depth + 1, read: negative }
}

/** RocketMQ 5.3 `ComparisonExpression#createEqual` with its checks. */
export function equal(lexer: Lexer, left: Operand, right: Operand): Test {
  for (const operand of [left, right]) {
    if (operand.kind === 'condition' && operand.literal === null)
      lexer.fail(operand.token, 'NULL equals nothing; write IS NULL or IS NOT NULL')
  }
  if (left.kind === 'condition' && left.literal !== undefined && right.kind === 'constant')
    lexer.fail(right.token, `${quoted(right.token.text)} is not comparable with ${quoted(left.token.text)}`)
  if (left.kind === 'property' && right.kind === 'constant' && typeof right.value === 'string') return equalText(left.slot, right.value)
  const [readLeft, readRight] = [reader(left), reader(right)]
  return (values) => {
    const l = readLeft(values)
    const r = readRight(values)
    // As Apache has it: a missing right side is unequal, a missing left side unknown, and two missing ones are equal.
    if (l === undefined) return r === undefined ? true : undefined
    if (r === undefined) return false
    return l === r || compare(l, r) === 0
  }
}

const equalText =
  (slot: number, text: string): Test =>
  (values) => {
    const value = values[slot]
    return value === undefined ? undefined : value === text
  }

export const isNull = (operand: Operand): Test => {
  const read = reader(operand)
  return (values) => read(values) === undefined
}

export type Order = '<' | '<=' | '>' | '>='

/** RocketMQ 5.3 `ComparisonExpression#checkLessThanOperand`. */
function checkOrdered(lexer: Lexer, operand: Operand): void {
  if (operand.kind === 'property' || operand.kind === 'negated') return
  if (operand.kind === 'constant' && typeof operand.value !== 'string') return
  lexer.fail(operand.token, `${quoted(operand.token.text)} has no order; <, <=, >, >= and BETWEEN take numbers and properties`)
}

const HOLDS: Readonly<Record<Order, (order: number) => boolean>> = {
  '<': (order) => order < 0,
  '<=': (order) => order <= 0,
  '>': (order) => order > 0,
  '>=': (order) => order >= 0,
}

export function ordered(lexer: Lexer, order: Order, left: Operand, right: Operand): Test {
  checkOrdered(lexer, left)
  checkOrdered(lexer, right)
  const [readLeft, readRight, holds] = [reader(left), reader(right), HOLDS[order]]
  return (values) => {
    const l = readLeft(values)
    if (l === undefined) return undefined
    const r = readRight(values)
    if (r === undefined) return undefined
    // Two texts are ordered as the numbers that they must be.
    return holds(typeof l === 'string' && typeof r === 'string' ? compare(parseDouble(l), parseDouble(r)) : compare(l, r))
  }
}

export function between(lexer: Lexer, value: Operand, low: Operand, high: Operand): Test {
  const tests = [ordered(lexer, '>=', value, low), ordered(lexer, '<=', value, high)]
  if (low.kind === 'constant' && high.kind === 'constant' && compare(high.value, low.value) < 0)
    lexer.fail(low.token, `no value is BETWEEN ${low.token.text} AND ${high.token.text}; write the lower one first`)
  return allOf(tests)
}

export const notBetween = (lexer: Lexer, value: Operand, low: Operand, high: Operand): Test =>
  anyOf([ordered(lexer, '<', value, low), ordered(lexer, '>', value, high)])

export function oneOf(lexer: Lexer, operand: Operand, texts: readonly string[], isNot: boolean): Test {
  if (operand.kind !== 'property') lexer.fail(operand.token, `${quoted(operand.token.text)} is no property; IN takes one on its left`)
  const { slot } = operand
  const set = new Set(texts)
  return (values) => {
    const value = values[slot]
    return value === undefined ? undefined : set.has(value) !== isNot
  }
}

/** CONTAINS, STARTSWITH, ENDSWITH. A missing value, a value that is no text and an empty text never match, negated or not. */
export function textTest(operand: Operand, holds: (value: string) => boolean, text: string, isNot: boolean): Test {
  if (text === '') return () => false
  const read = reader(operand)
  return (values) => {
    const value = read(values)
    return typeof value === 'string' && holds(value) !== isNot
  }
}

export const wholeConstant = (digits: bigint, token: Token): Operand => ({ kind: 'constant', token, depth: 1, value: wholeOf(digits) })
