import { parseFastjsonBytes, stringifyFastjson } from '../fastjson.ts'
import { asBuffer } from '../message/longs.ts'
import { RocketError } from '../rocket-error.ts'
import type { DataVersion, MessageQueue } from './types.ts'

/**
 * Reading parsed bodies: tolerant where Java's readers are (numbers as text, missing fields, enums by ordinal), and exact about what
 * cannot be read: INVALID_PARAMETER with body, field and value.
 */
export type Json = Readonly<Record<string, unknown>>

export const wrong = (sentence: string, cause?: unknown): RocketError =>
  new RocketError(sentence, { code: 'INVALID_PARAMETER', brokerCode: 29, cause })

const shown = (value: unknown): string => {
  const text = value === undefined ? 'missing' : stringifyFastjson(value)
  return text.length > 64 ? `${text.slice(0, 64)}…` : text
}

export const encodeJson = (value: unknown): Buffer => Buffer.from(stringifyFastjson(value), 'utf8')

export function parseBody(body: Uint8Array, what: string): Json {
  if (body.length === 0) throw wrong(`the ${what} body is empty; it must be a JSON object`)
  let value: unknown
  try {
    value = parseFastjsonBytes(asBuffer(body))
  } catch (cause) {
    throw wrong(`the ${what} body of ${body.length} bytes cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, cause)
  }
  return asObject(value, what)
}

export function asObject(value: unknown, what: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw wrong(`${what} is ${shown(value)}; it must be a JSON object`)
  return (value instanceof Map ? Object.fromEntries([...value].filter(([key]) => typeof key === 'string')) : value) as Json
}

export function textOf(from: Json, name: string, absent?: string): string {
  const value = from[name]
  if (value === undefined || value === null) {
    if (absent === undefined) throw wrong(`the field ${name} is missing; it must be text`)
    return absent
  }
  if (typeof value === 'object') throw wrong(`the field ${name} is ${shown(value)}; it must be text`)
  return String(value)
}

export const optionalText = (from: Json, name: string): string | undefined =>
  from[name] === undefined || from[name] === null ? undefined : textOf(from, name)

const WHOLE = /^[+-]?\d{1,20}$/

export function bigintOf(from: Json, name: string, absent?: bigint): bigint {
  const value = from[name]
  if ((value === undefined || value === null || value === '') && absent !== undefined) return absent
  if (typeof value === 'bigint') return value
  if (typeof value === 'number' && Number.isInteger(value)) return BigInt(value)
  if (typeof value === 'string' && WHOLE.test(value)) return BigInt(value)
  throw wrong(`the field ${name} is ${shown(value)}; it must be a whole number`)
}

/** A whole number. Java's Long.MAX_VALUE ("no limit") and the like become the nearest safe number. */
export function numberOf(from: Json, name: string, absent?: number): number {
  const value = from[name]
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value
  const big = Number(bigintOf(from, name, absent === undefined ? undefined : BigInt(absent)))
  return Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, big))
}

export function doubleOf(from: Json, name: string, absent: number): number {
  const value = from[name]
  if (value === undefined || value === null || value === '') return absent
  const number = typeof value === 'object' || typeof value === 'boolean' ? Number.NaN : Number(value)
  if (Number.isNaN(number)) throw wrong(`the field ${name} is ${shown(value)}; it must be a number`)
  return number
}

export function booleanOf(from: Json, name: string, absent: boolean): boolean {
  const value = from[name]
  if (value === undefined || value === null || value === '') return absent
  if (typeof value === 'boolean') return value
  if (value === 0 || value === 1) return value === 1
  if (typeof value === 'string') return value.toLowerCase() === 'true' || value === '1'
  throw wrong(`the field ${name} is ${shown(value)}; it must be true or false`)
}

/** By name or by ordinal: C++ sends numbers. */
export function enumOf<const V extends readonly string[]>(from: Json, name: string, values: V, absent: V[number]): V[number] {
  const value = from[name]
  if (value === undefined || value === null || value === '') return absent
  const found = typeof value === 'number' ? values[value] : values.includes(value as string) ? (value as string) : values[Number(value)]
  if (found === undefined) throw wrong(`the field ${name} is ${shown(value)}; it must be one of ${values.join(', ')}`)
  return found
}

export function listOf<T>(from: Json, name: string, item: (value: unknown, what: string) => T): T[] {
  const value = from[name]
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) throw wrong(`the field ${name} is ${shown(value)}; it must be a list`)
  return value.map((v, i) => item(v, `${name}[${i}]`))
}

export const asText = (value: unknown, what: string): string => {
  if (value === null || typeof value === 'object') throw wrong(`${what} is ${shown(value)}; it must be text`)
  return String(value)
}

/** A table without prototype: topics may be called `constructor`. */
export function tableOf<T>(from: Json, name: string, item: (value: unknown, what: string, key: string) => T): Record<string, T> {
  const table: Record<string, T> = Object.create(null)
  const value = from[name]
  if (value === undefined || value === null) return table
  const entries = Object.entries(asObject(value, name))
  for (const [key, v] of entries) if (v !== null) table[key] = item(v, `${name}.${key}`, key)
  return table
}

export function readDataVersion(value: unknown): DataVersion {
  if (value === undefined || value === null) return { stateVersion: 0, timestamp: 0, counter: 0 }
  const from = asObject(value, 'dataVersion')
  return {
    stateVersion: numberOf(from, 'stateVersion', 0),
    timestamp: numberOf(from, 'timestamp', 0),
    counter: numberOf(from, 'counter', 0),
  }
}

export const decodeDataVersion = (body: Uint8Array): DataVersion => readDataVersion(parseBody(body, 'DataVersion'))

export function readMessageQueue(value: unknown, what = 'a message queue'): MessageQueue {
  const from = asObject(value, what)
  return { topic: textOf(from, 'topic'), brokerName: textOf(from, 'brokerName'), queueId: numberOf(from, 'queueId') }
}
