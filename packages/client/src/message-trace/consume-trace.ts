import { PROPERTY } from '@skylarkmq/remoting/protocol'
import type { ConsumedMessage, Settlement } from '../consumer/received-message.ts'
import type { MessageTracer } from './tracer.ts'
import { regionOf } from './tracer.ts'

/** Notes that these messages are with a handler; returns what notes the end. */
export function traceConsume(
  tracer: MessageTracer,
  group: string,
  messages: readonly ConsumedMessage[],
): (settlements: readonly Settlement[]) => void {
  const startedAt = tracer.now
  const requestId = tracer.newRequestId()
  const traced = messages.map((message) => {
    const keys = message.properties.get(PROPERTY.KEYS) ?? ''
    const region = regionOf(message.properties.get(PROPERTY.MSG_REGION), message.properties.get(PROPERTY.TRACE_ON))
    const { messageId, reconsumeTimes: retryTimes } = message
    if (region !== undefined) {
      tracer.add({ type: 'consumeBegin', time: tracer.now, region, group, requestId, messageId, retryTimes, keys }, keys)
    }
    return { messageId, keys, isWanted: region !== undefined }
  })
  return (settlements) => {
    const tookMs = Math.round((tracer.now - startedAt) / traced.length)
    traced.forEach(({ messageId, keys, isWanted }, i) => {
      const settlement = settlements[i]
      if (!isWanted || settlement === undefined || settlement.kind === 'release') return
      const isSuccess = settlement.kind === 'ack'
      const result = isSuccess ? 'success' : settlement.error === undefined ? 'failed' : 'exception'
      tracer.add({ type: 'consumeEnd', time: tracer.now, group, requestId, messageId, tookMs, isSuccess, keys, result }, keys)
    })
  }
}
