import { PROPERTY, decodeRecord } from '@skylarkmq/remoting/protocol'
import type { StoredMessage } from '@skylarkmq/remoting/protocol'
import type { MessageStore } from '@skylarkmq/store'

/** Copies of one key that are looked at: the newest. */
const SAME_KEY = 64

/**
 * Whether a message that waited is in its topic already. A crash may come after a delivery and before whoever delivered could note it;
 * then the log is asked: the delivery has the same unique key, and names the record that it came from.
 */
export function wasDelivered(
  store: MessageStore,
  waited: StoredMessage,
  topic: string,
  isDelivery: (found: StoredMessage) => boolean,
): boolean {
  const key = waited.properties.get(PROPERTY.UNIQ_KEY)
  return key !== undefined && hasMessage(store, topic, key, isDelivery)
}

/** Whether there is such a message with this unique key in a topic. */
export function hasMessage(store: MessageStore, topic: string, uniqKey: string, accept: (found: StoredMessage) => boolean): boolean {
  const positions = store.queryByKey(topic, uniqKey, { max: SAME_KEY, beginMs: 0, endMs: Number.MAX_SAFE_INTEGER })
  return positions.some((position) => {
    const record = store.readRecordAt(position)
    const found = record === undefined ? undefined : decodeRecord(record)
    return found?.topic === topic && found.properties.get(PROPERTY.UNIQ_KEY) === uniqKey && accept(found)
  })
}

/** For deliveries that do not name their record: Apache's broker made them, or this one before it named them. */
export const looksSame = (found: StoredMessage, waited: StoredMessage): boolean =>
  found.bornTimestamp === waited.bornTimestamp &&
  found.reconsumeTimes === waited.reconsumeTimes &&
  found.bodyCrc === waited.bodyCrc &&
  found.body.length === waited.body.length
