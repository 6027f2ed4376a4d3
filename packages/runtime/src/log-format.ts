import type { LogFields } from './log.ts'

const formatValue = (value: unknown): string => {
  if (typeof value === 'string') return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value)
  if (value instanceof Error) {
    const code = (value as { code?: unknown }).code
    return JSON.stringify(typeof code === 'string' ? `${value.message} [${code}]` : value.message)
  }
  if (typeof value === 'object' && value !== null) {
    try {
      return JSON.stringify(value, (_key, inner: unknown) => (typeof inner === 'bigint' ? inner.toString() : inner))
    } catch {
      return '[circular]'
    }
  }
  return String(value)
}

/** ` key=value key="two words"`, each with a leading space; fields without a value are left out. */
export const formatFields = (fields: LogFields): string => {
  let text = ''
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined) text += ` ${name}=${formatValue(value)}`
  }
  return text
}
