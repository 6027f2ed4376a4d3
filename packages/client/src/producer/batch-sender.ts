import { forEachLimited } from '../core/waiting.ts'
import { traceSend } from '../message-trace/send-trace.ts'
import { traced } from '../tracing.ts'
import type { Bundle, Numbered } from './batch.ts'
import { SendAllError, bundleLanes, encodeBundle, splitReceipt } from './batch.ts'
import type { Parcel } from './delivery.ts'
import type { Sender } from './sender.ts'
import type { Message, SendOptions, SendReceipt } from './types.ts'

const PARALLEL_LANES = 4

/** Many messages in few requests; receipts in the order given. */
export function sendBatches(sender: Sender, given: readonly Message[], options: SendOptions): Promise<readonly SendReceipt[]> {
  return traced(
    'send',
    () => ({ ...sender.sendEvent(given[0]), messages: given }),
    (event) => sendLanes(sender, given, options, event?.properties),
  )
}

async function sendLanes(
  sender: Sender,
  given: readonly Message[],
  options: SendOptions,
  added: Readonly<Record<string, string>> | undefined,
): Promise<readonly SendReceipt[]> {
  const { check, settings } = sender.parts
  // All are checked before any is sent.
  if (check) for (const message of given) await check.check(message)
  const numbered: Numbered[] = given.map((message, index) => ({
    index,
    message: sender.encode(message, added),
    orderKey: message.orderKey,
  }))
  const receipts = Array.from<SendReceipt | undefined>({ length: given.length })
  const failures: { index: number; error: unknown }[] = []
  const lanes = bundleLanes(numbered, settings.batchBytes)
  await forEachLimited(lanes, PARALLEL_LANES, async (lane) => {
    for (const bundle of lane) {
      try {
        const sent = await sendBundle(sender, bundle, given, options)
        bundle.messages.forEach(({ index }, i) => {
          receipts[index] = sent[i]
        })
      } catch (error) {
        for (const { index } of bundle.messages) failures.push({ index, error })
      }
    }
  })
  if (failures.length > 0)
    throw new SendAllError(
      receipts,
      failures.sort((a, b) => a.index - b.index),
    )
  return receipts as SendReceipt[]
}

async function sendBundle(
  sender: Sender,
  bundle: Bundle,
  given: readonly Message[],
  options: SendOptions,
): Promise<readonly SendReceipt[]> {
  const { tracer, group, delivery } = sender.parts
  const first = bundle.messages[0] as Numbered
  const message = given[first.index] as Message
  if (bundle.messages.length === 1) return [await sender.deliver(await sender.compressed(first.message), options, message)]
  const body = encodeBundle(bundle)
  const sending =
    tracer &&
    traceSend(
      tracer,
      group,
      bundle.messages.map(({ index, message: encoded }) => ({ message: given[index] as Message, encoded })),
      false,
    )
  const parcel: Parcel = {
    ...sender.parcel(first.message),
    body,
    flag: 0,
    messageId: bundle.messages.map(({ message: m }) => m.messageId).join(','),
    properties: `WAIT\u0001${first.message.waitStoreOk}\u0002`,
    isBatch: true,
    ...(sending ? { onStored: sending.onStored } : {}),
  }
  try {
    const deliveryOptions = sender.deliveryOptions(options, message)
    const receipt = await sender.bounded(body.length, options.signal, () => delivery.deliver(parcel, deliveryOptions))
    const receipts = splitReceipt(bundle, sender.shown(receipt))
    sending?.ended(receipts.map(({ offsetMessageId }) => offsetMessageId))
    return receipts
  } catch (error) {
    sending?.ended()
    throw error
  }
}
