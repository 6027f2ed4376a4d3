import type { Answer } from '@skylarkmq/remoting'
import type { SendMessageV2 } from '@skylarkmq/remoting/protocol'
import type { EncodedMessage } from '../producer/encode-message.ts'
import type { Message } from '../producer/types.ts'
import type { TracedMessageType } from './events.ts'
import type { MessageTracer } from './tracer.ts'
import { regionOf } from './tracer.ts'

export interface TracedSend {
  readonly onStored: (answer: Answer<typeof SendMessageV2>) => void
  /** With the offset ids of the messages, or without when they could not be sent. */
  ended(offsetMessageIds?: readonly string[]): void
}

/** Notes how the sending of these messages goes. */
export function traceSend(
  tracer: MessageTracer,
  group: string,
  messages: readonly { readonly message: Message; readonly encoded: EncodedMessage }[],
  isHalf: boolean,
): TracedSend {
  const startedAt = tracer.now
  let answered: Answer<typeof SendMessageV2> | undefined
  return {
    onStored: (answer) => {
      answered = answer
    },
    ended: (offsetMessageIds) => {
      const region = regionOf(answered?.ext?.['MSG_REGION'], answered?.ext?.['TRACE_ON'])
      if (region === undefined) return
      messages.forEach(({ message, encoded }, i) => {
        const { messageId, body } = encoded
        const keys = typeof message.keys === 'string' ? message.keys : (message.keys ?? []).join(' ')
        tracer.add(
          {
            type: 'sent',
            time: startedAt,
            region,
            group,
            topic: message.topic,
            messageId,
            tags: message.tags ?? '',
            keys,
            storeHost: answered?.address ?? '',
            bodyBytes: body.length,
            tookMs: tracer.now - startedAt,
            messageType: typeOf(message, isHalf),
            offsetMessageId: offsetMessageIds?.[i] ?? '',
            isSuccess: offsetMessageIds !== undefined,
          },
          keys,
        )
      })
    },
  }
}

function typeOf(message: Message, isHalf: boolean): TracedMessageType {
  if (isHalf) return 'half'
  return message.delayLevel || message.delayMs || message.deliverAt ? 'delay' : 'normal'
}
