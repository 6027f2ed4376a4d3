import type { ClientCore } from '../core/types.ts'
import { withoutNamespace } from '../namespace.ts'
import type { EndedHalf } from '../producer/transaction.ts'
import type { MessageTracer } from './tracer.ts'
import { regionOf } from './tracer.ts'

/** Notes how transactions end; undefined without a tracer. */
export function transactionTrace(
  core: ClientCore,
  tracer: MessageTracer | undefined,
  group: string,
): ((half: EndedHalf, outcome: 'commit' | 'rollback') => void) | undefined {
  if (!tracer) return undefined
  return (half, outcome) =>
    tracer.add({
      type: 'transactionEnd',
      time: tracer.now,
      region: regionOf(undefined, undefined) as string,
      group,
      topic: withoutNamespace(core.namespace, half.topic),
      messageId: half.messageId,
      tags: '',
      keys: '',
      storeHost: core.brokerAddress(half.target) ?? half.target,
      transactionId: half.messageId,
      outcome,
      isFromCheck: half.isCheck,
    })
}
