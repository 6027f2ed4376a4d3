import type { TopicConfig } from '@skylarkmq/remoting/protocol'
import { plain, refuse, shown } from '../answers.ts'
import type { Refusal } from '../answers.ts'
import type { Settings } from '../config.ts'

type Attributes = Readonly<Record<string, string>>

export const CLEANUP_POLICY = 'cleanup.policy'
const COMPACTION = 'COMPACTION'

interface Rule {
  readonly isChangeable: boolean
  readonly default: string
  /** Undefined when the value may be had; else what may. */
  readonly wrong: (value: string, settings: Settings) => string | undefined
}

const oneOf =
  (...values: readonly string[]) =>
  (value: string): string | undefined =>
    values.includes(value) ? undefined : `it must be ${values.slice(0, -1).join(', ')} or ${values.at(-1)}`

const wholeFrom =
  (min: number, max: bigint) =>
  (value: string): string | undefined =>
    /^[+-]?\d{1,19}$/.test(value) && BigInt(value) >= BigInt(min) && BigInt(value) <= max
      ? undefined
      : `it must be a whole number from ${min} to ${max}`

const MESSAGE_TYPES = oneOf('UNSPECIFIED', 'NORMAL', 'FIFO', 'DELAY', 'TRANSACTION', 'PRIORITY', 'MIXED')

function wrongMessageType(value: string, { current }: Settings): string | undefined {
  if (value === 'LITE') return 'lite topics are not supported'
  if (value === 'MIXED' && !current.enableMixedMessageType)
    return 'MIXED message type is not supported. Set enableMixedMessageType=true on the broker to allow it'
  return MESSAGE_TYPES(value)
}

/** The attributes that a topic may have (RocketMQ 5.5 `TopicAttributes`). */
const RULES: ReadonlyMap<string, Rule> = new Map([
  [
    'queue.type',
    {
      isChangeable: false,
      default: 'SimpleCQ',
      wrong: (value) =>
        value === 'BatchCQ' ? 'queues of batches are not supported; use SimpleCQ, which takes batches, too' : oneOf('SimpleCQ')(value),
    },
  ],
  [CLEANUP_POLICY, { isChangeable: false, default: 'DELETE', wrong: oneOf('DELETE', COMPACTION) }],
  ['message.type', { isChangeable: true, default: 'NORMAL', wrong: wrongMessageType }],
  ['reserve.time', { isChangeable: true, default: '-1', wrong: wholeFrom(-1, 9_223_372_036_854_775_807n) }],
  ['lite.topic.expiration', { isChangeable: true, default: '-1', wrong: wholeFrom(-1, 9_223_372_036_854_775_807n) }],
] satisfies readonly (readonly [string, Rule])[])

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
 * set. `old` is undefined for a topic that is made now. What may not be changed may be set to what it is: settings are often applied twice.
 */
export function alterAttributes(
  old: Attributes | undefined,
  changes: Iterable<readonly [name: string, value: string]>,
  settings: Settings,
): Attributes | Refusal {
  const attributes = new Map(Object.entries(old ?? {}))
  const seen = new Set<string>()
  for (const [signed, value] of changes) {
    const isRemoval = signed.startsWith('-')
    const name = /^[+-]/.test(signed) ? signed.slice(1) : signed
    const rule = RULES.get(name)
    if (rule === undefined) return bad(`unsupported key: ${plain(name)}; a topic may have ${[...RULES.keys()].join(', ')}`)
    if (seen.has(name)) return bad(`alter duplication key. key: ${name}`)
    seen.add(name)
    if (isRemoval && old === undefined) return bad(`only add attribute is supported while creating topic. key: ${name}`)
    if (isRemoval && !attributes.has(name)) return bad(`attempt to delete a nonexistent key: ${name}`)
    const wrong = isRemoval ? undefined : rule.wrong(value, settings)
    if (wrong !== undefined) return bad(`value is not in set: the attribute ${name} is ${shown(value)}; ${wrong}`)
    const isSame = !isRemoval && (attributes.get(name) ?? rule.default) === value
    if (old !== undefined && !rule.isChangeable && !isSame) {
      return bad(
        `attempt to update an unchangeable attribute. key: ${name}; it is ${shown(attributes.get(name) ?? rule.default)}, and is chosen when the topic is made`,
      )
    }
    if (isRemoval) attributes.delete(name)
    else attributes.set(name, value)
  }
  return Object.fromEntries(attributes)
}

/** Apache's broker answers wrong attributes so. */
const bad = (remark: string): Refusal => refuse('SYSTEM_ERROR', remark)

export const isCompacted = (topic: TopicConfig | undefined): boolean => topic?.attributes[CLEANUP_POLICY] === COMPACTION

/** RocketMQ 5.5 `SendMessageProcessor#sendMessage`: what is kept per key needs one. */
export function refuseWithoutKey(topic: TopicConfig | undefined, keys: string | undefined): Refusal | undefined {
  if (!isCompacted(topic) || (keys ?? '').trim() !== '') return undefined
  return refuse(
    'MESSAGE_ILLEGAL',
    `Required message key is missing: topic ${shown((topic as TopicConfig).topicName)} keeps the last message of each key (cleanup.policy=COMPACTION); set the key of the message (KEYS)`,
  )
}

/** The attributes of a topic whose settings a crash had lost, and which the store compacts. */
export const COMPACTED: Attributes = { [CLEANUP_POLICY]: COMPACTION }
