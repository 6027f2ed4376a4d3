/** W3C trace context: spans of a shop, an office and a bank hang together, by `node:diagnostics_channel` and without any library. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { randomBytes } from 'node:crypto'
import { tracingChannel } from 'node:diagnostics_channel'
import type { TraceContext } from '@skylarkmq/client'
import { createClient } from '@skylarkmq/client'
import { fresh, namesrvAddr } from './connect.ts'

// A tracer in a dozen lines; OpenTelemetry's would do the same: one span for each send, one for each handler call.
const current = new AsyncLocalStorage<string>()
const spans: { traceId: string; name: string }[] = []
function span(name: string, parent: string | undefined): string {
  const traceId = parent?.split('-')[1] ?? randomBytes(16).toString('hex')
  spans.push({ traceId, name })
  return `00-${traceId}-${randomBytes(8).toString('hex')}-01`
}
tracingChannel('skylarkmq:send').start.subscribe((event) => {
  const { group, properties } = event as { group: string; properties: Record<string, string> }
  properties.traceparent = span(`${group} sends`, current.getStore())
})
tracingChannel('skylarkmq:consume').start.bindStore(current, (event) => {
  const { queue, trace } = event as unknown as { queue: { topic: string }; trace: TraceContext | undefined }
  return span(`consumes ${queue.topic.split('-')[0]}`, trace?.traceparent)
})

await using client = await createClient({ namesrvAddr })
const [orders, bills] = [fresh('orders'), fresh('bills')]
const shop = client.producer({ group: 'shop' })
const office = client.producer({ group: 'office' })
await new Promise<void>((resolve, reject) => {
  const common = { consumeFrom: 'first' } as const
  const inOffice = client.pushConsumer({
    ...common,
    group: fresh('office'),
    subscriptions: { [orders]: '*' },
    handler: (order) => office.send({ topic: bills, body: `bill for ${order.text}` }),
  })
  const inBank = client.pushConsumer({ ...common, group: fresh('bank'), subscriptions: { [bills]: '*' }, handler: () => resolve() })
  const begin = async () => {
    await shop.send({ topic: orders, body: 'a book' })
    await inOffice.start()
    while (!spans.some(({ name }) => name === 'office sends')) await new Promise((wake) => setTimeout(wake, 20))
    await inBank.start()
  }
  begin().catch(reject)
})
console.log(`one trace: ${new Set(spans.map(({ traceId }) => traceId)).size === 1}`)
console.log(spans.map(({ name }) => name).join(' > '))
