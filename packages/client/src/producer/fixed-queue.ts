import { RocketError } from '@skylarkmq/remoting/protocol'
import { queueWithNamespace, queueWithoutNamespace } from '../namespace.ts'
import type { DeliveryOptions } from './delivery.ts'
import { queueForKey } from './queue-selector.ts'
import type { Message, SendOptions } from './types.ts'

/** How the application wants the queue chosen, if it does: this one, by its own function, or by the message's order key. */
export function fixedQueueOf(namespace: string | undefined, options: SendOptions, message: Message): DeliveryOptions['fixedQueue'] {
  const { queue, selectQueue } = options
  if (queue) {
    if (queue.topic !== message.topic) {
      throw new RocketError(`the queue given is of topic ${queue.topic}, the message is for ${message.topic}`, {
        code: 'BAD_ARGUMENT',
        topic: message.topic,
      })
    }
    const named = queueWithNamespace(namespace, queue)
    return () => named
  }
  if (selectQueue) {
    return (queues) => {
      const shown = namespace ? queues.map((each) => queueWithoutNamespace(namespace, each)) : queues
      const chosen = selectQueue(shown, message)
      if (!chosen)
        throw new RocketError('selectQueue chose no queue; return one of those given', { code: 'BAD_ARGUMENT', topic: message.topic })
      return queueWithNamespace(namespace, chosen)
    }
  }
  const { orderKey } = message
  return orderKey === undefined || orderKey === '' ? undefined : (queues) => queueForKey(queues, orderKey)
}
