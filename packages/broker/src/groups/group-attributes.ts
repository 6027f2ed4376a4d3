import { wholeFrom } from '../attributes.ts'
import type { AttributeRule, AttributeRules } from '../attributes.ts'

const LITE = [
  'lite.bind.topic',
  'lite.sub.model',
  'lite.sub.reset.offset.exclusive',
  'lite.sub.reset.offset.unsubscribe',
  'lite.sub.client.quota',
  'lite.sub.client.max.event.cnt',
  'lite.sub.wildcard',
]

const lite: AttributeRule = { isChangeable: true, default: '', wrong: () => 'lite topics are not supported' }

/** The attributes that a group may have (RocketMQ 5.5 `SubscriptionGroupAttributes`). */
export const GROUP_ATTRIBUTES: AttributeRules = {
  of: 'group',
  byName: new Map([
    ['priority.factor', { isChangeable: true, default: '100', wrong: wholeFrom(0, 100n) }],
    ...LITE.map((name) => [name, lite] as const),
  ]),
}
