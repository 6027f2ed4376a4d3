import type { SubscriptionData } from '@skylarkmq/remoting/protocol'
import { CheckClientConfig, encodeJson, ResponseCode, RocketError } from '@skylarkmq/remoting/protocol'
import type { ClientCore } from '../core/types.ts'

/** Brokers say whether they understand a condition before messages depend on it (RocketMQ `checkClientInBroker`). */
export async function checkExpression(core: ClientCore, group: string, subscription: SubscriptionData): Promise<void> {
  if (subscription.expressionType === 'TAG') return
  const address = (await core.route(subscription.topic)).brokerDatas.flatMap((broker) => Object.values(broker.brokerAddrs))[0]
  if (address === undefined) return
  const body = encodeJson({ clientId: core.clientId, group, subscriptionData: subscription, namespace: '' })
  const answer = await core.invoke(address, CheckClientConfig, {}, { body })
  if (answer.code === ResponseCode.SUCCESS) return
  throw new RocketError(`the broker ${address} refuses the expression for ${subscription.topic}: ${answer.remark ?? answer.code}`, {
    code: 'SUBSCRIPTION_PARSE_FAILED',
    brokerCode: answer.code,
    address,
    topic: subscription.topic,
    group,
  })
}
