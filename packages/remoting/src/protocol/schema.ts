/**
 * Header fields, declared as values. A command lists its fields once; types, both codecs, the checks, the documentation and the
 * property tests follow from that list.
 *
 * On the wire every field is text in `extFields` (RocketMQ 5.3 `RemotingCommand#makeCustomHeaderToNet`); clients in JavaScript and
 * C++ send raw numbers and booleans, which the frame codec has already turned into text.
 */
export type FieldKind = 'string' | 'int' | 'long' | 'long64' | 'double' | 'boolean' | 'enum'

export interface Field<T = unknown, Optional extends boolean = boolean> {
  readonly kind: FieldKind
  readonly optional: Optional
  /** The key on the wire where it differs from the property's name (`b` for `topic` in SEND_MESSAGE_V2). */
  readonly wireName?: string
  /** Further keys that are accepted on reading (historic misspellings). */
  readonly aliases: readonly string[]
  readonly values?: readonly string[]
  /** Never present: carries the type. */
  readonly _type?: T
}

export type Fields = Readonly<Record<string, Field>>

type TypeOfField<F> = F extends Field<infer T, boolean> ? T : never
type OptionalKeys<F extends Fields> = { [K in keyof F]: F[K] extends Field<unknown, true> ? K : never }[keyof F]

/** The values of a header: required fields, and optional ones that may be absent or undefined. */
export type HeaderOf<F extends Fields> = { readonly [K in Exclude<keyof F, OptionalKeys<F>>]: TypeOfField<F[K]> } & {
  readonly [K in OptionalKeys<F>]?: TypeOfField<F[K]> | undefined
}

const field = <T>(kind: FieldKind): Field<T, false> => ({ kind, optional: false, aliases: [] })

export const string = () => field<string>('string')
/** A signed 32-bit number. */
export const int = () => field<number>('int')
/** A whole number that is safe in a double: offsets, times, counts. */
export const long = () => field<number>('long')
/** A signed 64-bit number that may exceed 2^53 (Go's subVersion is in nanoseconds). */
export const long64 = () => field<bigint>('long64')
export const double = () => field<number>('double')
/** Java's `Boolean.parseBoolean`: only "true", in any case, is true. */
export const boolean = () => field<boolean>('boolean')
export const enumOf = <const V extends readonly string[]>(...values: V): Field<V[number], false> => ({
  ...field<V[number]>('enum'),
  values,
})

export const optional = <T>(inner: Field<T, boolean>): Field<T, true> => ({ ...inner, optional: true })
export const wire = <F extends Field>(wireName: string, inner: F): F => ({ ...inner, wireName })
export const alias = <F extends Field>(other: string, inner: F): F => ({ ...inner, aliases: [...inner.aliases, other] })

/** What was wrong with a header: the field's name, the value found, and what was expected. Answered as INVALID_PARAMETER. */
export class HeaderError extends Error {
  override readonly name = 'HeaderError'
  readonly field: string
  readonly value: string | undefined

  constructor(fieldName: string, value: string | undefined, expected: string) {
    const shown = value === undefined ? 'is missing' : `is ${JSON.stringify(value.length > 64 ? `${value.slice(0, 64)}…` : value)}`
    super(`the header field ${fieldName} ${shown}; ${expected}`)
    this.field = fieldName
    this.value = value
  }
}

export type ExtFields = Readonly<Record<string, string>>

const WHOLE = /^[+-]?\d{1,20}$/

/** The value of one field. Throws HeaderError. */
export function parseField(name: string, f: Field, text: string): unknown {
  switch (f.kind) {
    case 'string':
      return text
    case 'boolean':
      return text.length === 4 && text.toLowerCase() === 'true'
    case 'enum':
      if (!f.values?.includes(text)) throw new HeaderError(name, text, `it must be one of ${f.values?.join(', ')}`)
      return text
    case 'double': {
      const value = Number(text)
      if (text.trim() === '' || Number.isNaN(value)) throw new HeaderError(name, text, 'it must be a number')
      return value
    }
    case 'int': {
      const value = WHOLE.test(text) ? Number(text) : Number.NaN
      if (!(value >= -2147483648 && value <= 2147483647)) throw new HeaderError(name, text, 'it must be a whole number of 32 bits')
      return value
    }
    case 'long': {
      const value = WHOLE.test(text) ? Number(text) : Number.NaN
      // Java sends Long.MAX_VALUE for "no limit": kept as the largest safe number.
      if (text === '9223372036854775807') return Number.MAX_SAFE_INTEGER
      if (!Number.isSafeInteger(value)) throw new HeaderError(name, text, 'it must be a whole number below 2^53')
      return value
    }
    case 'long64': {
      if (!WHOLE.test(text)) throw new HeaderError(name, text, 'it must be a whole number of 64 bits')
      const value = BigInt(text)
      if (BigInt.asIntN(64, value) !== value) throw new HeaderError(name, text, 'it must be a whole number of 64 bits')
      return value
    }
  }
}

/** Reads a header from ext fields. Unknown keys are ignored; an empty text counts as absent for every kind but `string`. */
export function decodeHeader<F extends Fields>(fields: F, ext: ExtFields | undefined): HeaderOf<F> {
  const header: Record<string, unknown> = {}
  for (const name in fields) {
    const f = fields[name] as Field
    let text = ext?.[f.wireName ?? name]
    for (let i = 0; text === undefined && i < f.aliases.length; i++) text = ext?.[f.aliases[i] as string]
    if (text === undefined || (text === '' && f.kind !== 'string')) {
      if (!f.optional) throw new HeaderError(name, undefined, `it is required (${f.kind})`)
      continue
    }
    header[name] = parseField(f.wireName ? `${name} (${f.wireName})` : name, f, text)
  }
  return header as HeaderOf<F>
}

/** Writes a header as ext fields: always text, absent fields left out. */
export function encodeHeader<F extends Fields>(fields: F, header: HeaderOf<F>): Record<string, string> {
  const ext: Record<string, string> = {}
  const values = header as Record<string, unknown>
  for (const name in fields) {
    const value = values[name]
    if (value === undefined || value === null) continue
    ext[fields[name]?.wireName ?? name] = String(value)
  }
  return ext
}
