import type { MessageQueue } from '@skylarkmq/remoting/protocol'
import { DLQ_PREFIX, isSystemGroup, isSystemTopic, RETRY_PREFIX } from '@skylarkmq/remoting/protocol'

/**
 * Namespaces as RocketMQ's clients have them (5.3 `NamespaceUtil`): brokers know nothing of them, the client writes `NS%orders` for
 * `orders` and takes it off again. Prefixes of retry and dead letter topics stay in front; names of the system are left alone.
 */
export function withNamespace(namespace: string | undefined, name: string): string {
  if (!namespace || name === '' || isSystemTopic(name) || isSystemGroup(name)) return name
  const [prefix, rest] = split(name)
  return rest.startsWith(`${namespace}%`) ? name : `${prefix}${namespace}%${rest}`
}

export function withoutNamespace(namespace: string | undefined, name: string): string {
  if (!namespace) return name
  const [prefix, rest] = split(name)
  return rest.startsWith(`${namespace}%`) ? prefix + rest.slice(namespace.length + 1) : name
}

export const queueWithNamespace = (namespace: string | undefined, queue: MessageQueue): MessageQueue =>
  namespace ? { ...queue, topic: withNamespace(namespace, queue.topic) } : queue

export const queueWithoutNamespace = (namespace: string | undefined, queue: MessageQueue): MessageQueue =>
  namespace ? { ...queue, topic: withoutNamespace(namespace, queue.topic) } : queue

function split(name: string): readonly [prefix: string, rest: string] {
  for (const prefix of [RETRY_PREFIX, DLQ_PREFIX]) if (name.startsWith(prefix)) return [prefix, name.slice(prefix.length)]
  return ['', name]
}
