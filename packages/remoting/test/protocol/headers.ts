/** Headers of commands, drawn at random from their declarations. */
import fc from 'fast-check'
import type { Field, Fields } from '../../src/protocol/index.ts'

const INT64 = 1n << 63n

/** Well-formed text: lone surrogates do not survive UTF-8, in Java either. */
export const anyText = fc.string({ unit: 'binary', maxLength: 40 })

function valueOf(field: Field, text: fc.Arbitrary<string>): fc.Arbitrary<unknown> {
  switch (field.kind) {
    case 'string':
      return text
    case 'int':
      return fc.integer({ min: -2147483648, max: 2147483647 })
    case 'long':
      return fc.maxSafeInteger()
    case 'long64':
      return fc.bigInt({ min: -INT64, max: INT64 - 1n })
    case 'double':
      return fc.double({ noNaN: true, noDefaultInfinity: true }).map((v) => (Object.is(v, -0) ? 0 : v))
    case 'boolean':
      return fc.boolean()
    case 'enum':
      return fc.constantFrom(...(field.values ?? []))
  }
}

/** Headers of a command, from its declaration: optional fields come and go. */
export const headerOf = (fields: Fields, text: fc.Arbitrary<string> = anyText): fc.Arbitrary<Record<string, unknown>> => {
  const required = Object.keys(fields).filter((name) => fields[name]?.optional !== true)
  const model = Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, valueOf(field, text)]))
  return fc.record(model, { requiredKeys: required }) as fc.Arbitrary<Record<string, unknown>>
}
