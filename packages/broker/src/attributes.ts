import { plain, refuse, shown } from './answers.ts'
import type { Refusal } from './answers.ts'
import type { Settings } from './config.ts'

export type Attributes = Readonly<Record<string, string>>

/** What is known of one attribute of a topic or a group. */
export interface AttributeRule {
  readonly isChangeable: boolean
  readonly default: string
  /** Undefined when the value may be had; else what may. */
  readonly wrong: (value: string, settings: Settings) => string | undefined
}

export interface AttributeRules {
  readonly of: 'topic' | 'group'
  readonly byName: ReadonlyMap<string, AttributeRule>
}

export const oneOf =
  (...values: readonly string[]) =>
  (value: string): string | undefined =>
    values.includes(value) ? undefined : `it must be ${[values.slice(0, -1).join(', '), values.at(-1)].filter(Boolean).join(' or ')}`

export const wholeFrom =
  (min: number, max: bigint) =>
  (value: string): string | undefined =>
    /^[+-]?\d{1,19}$/.test(value) && BigInt(value) >= BigInt(min) && BigInt(value) <= max
      ? undefined
      : `it must be a whole number from ${min} to ${max}`

/** `+name=value,-name` (RocketMQ 5.5 `AttributeParser`) as pairs of a signed name and a value. */
export function parseAttributeChanges(text: string | undefined): (readonly [name: string, value: string])[] | Refusal {
  const changes: (readonly [string, string])[] = []
  if (text === undefined || text.trim() === '') return changes
  for (const part of text.split(',').map((each) => each.trim())) {
    const set = /^(\+[^=]*)=(.*)$/.exec(part)
    if (set !== null) changes.push([set[1] as string, (set[2] as string).trim()])
    else if (part.includes('=')) return bad(`add/alter attribute format is wrong: ${shown(part)}; write +name=value`)
    else if (part.startsWith('-')) changes.push([part, ''])
    else return bad(`delete attribute format is wrong: ${shown(part)}; write -name to remove, +name=value to set`)
  }
  return changes
}

/**
 * The attributes after the changes, whose names carry a sign (RocketMQ 5.5 `AttributeUtil#alterCurrentAttributes`); a name without one is
 * set. `old` is undefined for what is made now. What may not be changed may be set to what it is: settings are often applied twice.
 */
export function alterAttributes(
  rules: AttributeRules,
  old: Attributes | undefined,
  changes: Iterable<readonly [name: string, value: string]>,
  settings: Settings,
): Attributes | Refusal {
  const attributes = new Map(Object.entries(old ?? {}))
  const seen = new Set<string>()
  for (const [signed, value] of changes) {
    const isRemoval = signed.startsWith('-')
    const name = /^[+-]/.test(signed) ? signed.slice(1) : signed
    const rule = rules.byName.get(name)
    if (rule === undefined) return bad(`unsupported key: ${plain(name)}; a ${rules.of} may have ${[...rules.byName.keys()].join(', ')}`)
    if (seen.has(name)) return bad(`alter duplication key. key: ${name}`)
    seen.add(name)
    if (isRemoval && old === undefined) return bad(`only add attribute is supported while creating ${rules.of}. key: ${name}`)
    if (isRemoval && !attributes.has(name)) return bad(`attempt to delete a nonexistent key: ${name}`)
    const wrong = isRemoval ? undefined : rule.wrong(value, settings)
    if (wrong !== undefined) return bad(`value is not in set: the attribute ${name} is ${shown(value)}; ${wrong}`)
    const isSame = !isRemoval && (attributes.get(name) ?? rule.default) === value
    if (old !== undefined && !rule.isChangeable && !isSame) {
      return bad(
        `attempt to update an unchangeable attribute. key: ${name}; it is ${shown(attributes.get(name) ?? rule.default)}, and is chosen when the ${rules.of} is made`,
      )
    }
    if (isRemoval) attributes.delete(name)
    else attributes.set(name, value)
  }
  return Object.fromEntries(attributes)
}

/** Apache's broker answers wrong attributes so. */
const bad = (remark: string): Refusal => refuse('SYSTEM_ERROR', remark)

export const isRefusedChange = (value: Attributes | Refusal): value is Refusal => typeof value.code === 'number'
