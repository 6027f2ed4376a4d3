import { RocketError } from '@skylarkmq/client'
import type { OptionDeclaration, Options } from './types.ts'

export const TOPIC: OptionDeclaration = { flags: '-t, --topic <topic>', meaning: 'the topic', required: true }
export const GROUP: OptionDeclaration = { flags: '-g, --group <group>', meaning: 'the consumer group', required: true }
/** Brokers know nothing of namespaces: the topic is `NAMESPACE%topic` for them. */
export const NAMESPACE: OptionDeclaration = {
  flags: '--namespace <name>',
  meaning: 'the namespace of the application that the topic belongs to',
}
/** Where a change goes: Apache's flags. */
export const WHERE: readonly OptionDeclaration[] = [
  { flags: '-c, --cluster <cluster>', meaning: 'every master of this cluster (default: of all clusters)' },
  { flags: '-b, --broker <addr>', meaning: 'this broker only, as host:port' },
]

export const text = (options: Options, name: string): string | undefined => {
  const value = options[name]
  return typeof value === 'string' ? value : undefined
}

/** The topic as brokers know it. */
export function topicOf(options: Options): string {
  const [topic, namespace] = [required(options, 'topic'), text(options, 'namespace')]
  return namespace === undefined || topic.startsWith(`${namespace}%`) ? topic : `${namespace}%${topic}`
}

export const required = (options: Options, name: string): string => text(options, name) ?? ''

export function number(options: Options, name: string): number | undefined {
  const value = text(options, name)
  if (value === undefined) return undefined
  const parsed = Number(value)
  if (value.trim() === '' || !Number.isSafeInteger(parsed)) {
    throw new RocketError(`--${name} is ${JSON.stringify(value)}; it must be a whole number`, { code: 'BAD_ARGUMENT' })
  }
  return parsed
}

export function flag(options: Options, name: string): boolean | undefined {
  const value = options[name]
  if (value === undefined || typeof value === 'boolean') return value
  if (value === 'true' || value === 'false') return value === 'true'
  throw new RocketError(`--${name} is ${JSON.stringify(value)}; it must be true or false`, { code: 'BAD_ARGUMENT' })
}

/** A time: milliseconds since 1970, or `yyyy-MM-dd#HH:mm:ss:SSS` as mqadmin takes it, or ISO 8601. */
export function time(options: Options, name: string): number | undefined {
  const value = text(options, name)
  if (value === undefined) return undefined
  if (/^\d+$/.test(value)) return Number(value)
  const parsed = Date.parse(value.replace('#', 'T').replace(/:(\d{3})$/, '.$1'))
  if (Number.isNaN(parsed)) {
    throw new RocketError(`--${name} is ${JSON.stringify(value)}; give milliseconds since 1970 or a date like 2026-11-21T08:00:00`, {
      code: 'BAD_ARGUMENT',
    })
  }
  return parsed
}

export const where = (options: Options) => ({ cluster: text(options, 'cluster'), address: text(options, 'broker') })
