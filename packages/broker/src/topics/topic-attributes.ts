import type { TopicConfig } from '@skylarkmq/remoting/protocol'
import { refuse, shown } from '../answers.ts'
import type { Refusal } from '../answers.ts'
import { oneOf, wholeFrom } from '../attributes.ts'
import type { AttributeRule, AttributeRules, Attributes } from '../attributes.ts'
import type { Settings } from '../config.ts'

export const CLEANUP_POLICY = 'cleanup.policy'
const COMPACTION = 'COMPACTION'

const MESSAGE_TYPES = oneOf('UNSPECIFIED', 'NORMAL', 'FIFO', 'DELAY', 'TRANSACTION', 'PRIORITY', 'MIXED')

function wrongMessageType(value: string, { current }: Settings): string | undefined {
  if (value === 'LITE') return 'lite topics are not supported'
  if (value === 'MIXED' && !current.enableMixedMessageType)
    return 'MIXED message type is not supported. Set enableMixedMessageType=true on the broker to allow it'
  return MESSAGE_TYPES(value)
}

/** The attributes that a topic may have (RocketMQ 5.5 `TopicAttributes`). */
export const TOPIC_ATTRIBUTES: AttributeRules = {
  of: 'topic',
  byName: new Map([
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
  ] satisfies readonly (readonly [string, AttributeRule])[]),
}

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
