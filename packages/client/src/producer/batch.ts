import type { MessageQueue } from '@skylarkmq/remoting/protocol'
import { PROPERTIES_MAX_BYTES, RocketError, encodeClientBatch } from '@skylarkmq/remoting/protocol'
import type { EncodedMessage } from './encode-message.ts'
import type { SendReceipt } from './types.ts'

/** Bytes of one element beside body and properties (RocketMQ 5.3 `MessageDecoder#encodeMessage`). */
const ELEMENT_BYTES = 22
/** The broker takes no batch to topics whose name needs a V2 record. */
const BATCH_TOPIC_MAX = 127

export interface Numbered {
  readonly index: number
  readonly message: EncodedMessage
  readonly orderKey: string | undefined
}

/** What goes out in one request; `messages` of length 1 need no batch. */
export interface Bundle {
  readonly topic: string
  readonly orderKey: string | undefined
  readonly messages: readonly Numbered[]
  readonly bytes: number
}

/**
 * Messages of one topic, one order key and one `waitStoreOk` travel together, up to `maxBytes`; delayed ones and those to retry topics
 * alone (RocketMQ 5.3 `MessageBatch#generateFromList`). The order within a topic and key is kept: lanes go out one bundle at a time.
 */
export function bundleLanes(messages: readonly Numbered[], maxBytes: number): readonly (readonly Bundle[])[] {
  const lanes = new Map<string, { open: { messages: Numbered[]; bytes: number } | undefined; bundles: Bundle[] }>()
  for (const numbered of messages) {
    const { message, orderKey } = numbered
    const key = `${message.topic}\n${message.waitStoreOk}\n${orderKey ?? ''}`
    let lane = lanes.get(key)
    if (!lane) lanes.set(key, (lane = { open: undefined, bundles: [] }))
    const bytes = elementBytes(message)
    const mustGoAlone = message.isDelayed || message.topic.startsWith('%RETRY%') || message.topic.length > BATCH_TOPIC_MAX
    if (mustGoAlone || !lane.open || lane.open.bytes + bytes > maxBytes) {
      const opened = { messages: [numbered], bytes }
      lane.bundles.push({
        topic: message.topic,
        orderKey,
        messages: opened.messages,
        get bytes() {
          return opened.bytes
        },
      })
      lane.open = mustGoAlone ? undefined : opened
    } else {
      lane.open.messages.push(numbered)
      lane.open.bytes += bytes
    }
  }
  return [...lanes.values()].map((lane) => lane.bundles)
}

const elementBytes = (message: EncodedMessage): number => ELEMENT_BYTES + message.body.length + Buffer.byteLength(message.properties)

export function encodeBundle(bundle: Bundle): Buffer {
  return encodeClientBatch(
    bundle.messages.map(({ message }) => {
      const properties = Buffer.from(message.properties, 'utf8')
      if (properties.length > PROPERTIES_MAX_BYTES) throw new RocketError('properties too long', { code: 'MESSAGE_ILLEGAL' })
      return { flag: message.flag, body: message.body, properties }
    }),
  )
}

/** One receipt per message from the batch's: ids are joined by commas, offsets follow each other from the first. */
export function splitReceipt(bundle: Bundle, receipt: SendReceipt): readonly SendReceipt[] {
  const ids = receipt.offsetMessageId.split(',')
  const queue: MessageQueue = receipt.queue
  return bundle.messages.map(({ message }, i) => ({
    ...receipt,
    queue,
    messageId: message.messageId,
    offsetMessageId: ids[i] ?? '',
    queueOffset: receipt.queueOffset + i,
    transactionId: message.messageId,
  }))
}

/** Some messages of a `sendAll` were not stored. */
export class SendAllError extends RocketError {
  /** By the position of the message; undefined where it failed. */
  readonly receipts: readonly (SendReceipt | undefined)[]
  readonly failures: readonly { readonly index: number; readonly error: unknown }[]

  constructor(receipts: readonly (SendReceipt | undefined)[], failures: readonly { index: number; error: unknown }[]) {
    const first = failures[0]?.error
    const known = first instanceof RocketError ? first : undefined
    const sentence = first instanceof Error ? first.message : String(first)
    super(
      `${failures.length} of ${receipts.length} messages were not sent; the first (number ${failures[0]?.index}) because: ${sentence}`,
      {
        code: known?.code ?? 'SYSTEM_ERROR',
        brokerCode: known?.brokerCode,
        retryable: known?.retryable,
        address: known?.address,
        phase: known?.phase,
        topic: known?.topic,
        cause: first,
      },
    )
    this.receipts = receipts
    this.failures = failures
  }
}
