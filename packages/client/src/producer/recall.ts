import { expectSuccess } from '@skylarkmq/remoting'
import { RecallMessage, RocketError } from '@skylarkmq/remoting/protocol'
import type { ClientCore } from '../core/types.ts'
import { withNamespace } from '../namespace.ts'
import { checkTopic } from './encode-message.ts'
import type { SendReceipt } from './types.ts'

/** The handle of a scheduled message, from its receipt. */
export function handleOf({ recallHandle, queue, messageId }: SendReceipt): string {
  if (recallHandle !== undefined) return recallHandle
  throw new RocketError(
    `the receipt of message ${messageId} has no recallHandle; only messages sent with delayMs or deliverAt can be taken back, and only by brokers of 5.3.2 and later`,
    { code: 'BAD_ARGUMENT', topic: queue.topic },
  )
}

/** Takes a scheduled message back; resolves with its message id (RocketMQ 5.3 `DefaultMQProducerImpl#recallMessage`). */
export async function recallMessage(
  core: ClientCore,
  recalled: { readonly topic: string; readonly recallHandle: string; readonly producerGroup: string },
  options: { readonly timeoutMs: number; readonly signal: AbortSignal | undefined },
): Promise<string> {
  const { recallHandle, producerGroup } = recalled
  checkTopic(recalled.topic)
  const brokerName = brokerOfHandle(recallHandle)
  const topic = withNamespace(core.namespace, recalled.topic)
  if (!core.brokerAddress(brokerName)) await core.route(topic, { refresh: true })
  const answer = await core.invoke(brokerName, RecallMessage, { producerGroup, topic, recallHandle }, options)
  return expectSuccess(answer).header().msgId
}

/** URL-safe Base64 of `v1 topic broker time id` (RocketMQ 5.3 `RecallMessageHandle`). */
function brokerOfHandle(handle: string): string {
  const parts = Buffer.from(handle, 'base64url').toString('utf8').split(' ')
  const brokerName = parts[2]
  if (parts[0] !== 'v1' || parts.length !== 5 || !brokerName) {
    throw new RocketError(`the recall handle ${JSON.stringify(handle)} is not one; pass receipt.recallHandle unchanged`, {
      code: 'BAD_ARGUMENT',
    })
  }
  return brokerName
}
