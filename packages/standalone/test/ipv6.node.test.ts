/** A cluster that has no IPv4 address at all. */
import { mkdtempSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from '@skylarkmq/client'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { startLocal } from '@skylarkmq/standalone'
import { expect, test, vi } from 'vitest'

const hasIPv6 = await new Promise<boolean>((resolve) => {
  const server = createServer()
  server.once('error', () => resolve(false))
  server.listen(0, '::1', () => server.close(() => resolve(true)))
})

test.skipIf(!hasIPv6)(`messages go over ::1, and remember where they came from${hasIPv6 ? '' : ' (skipped: no IPv6 here)'}`, async () => {
  const runtime = nodeRuntime()
  const local = await startLocal(runtime, { storePath: mkdtempSync(join(tmpdir(), 'skylark-ipv6-')), host: '::1' })
  const client = await createClient({ namesrvAddr: local.namesrvAddr, runtime })
  try {
    expect(local.brokerAddr).toMatch(/^\[::1\]:\d+$/)
    const producer = client.producer({ group: 'p' })
    const { messageId } = await producer.send({ topic: 'Six', body: 'hello', keys: ['k'] })
    const seen: { text: string; born: string; stored: string; id: string }[] = []
    const consumer = client.pushConsumer({
      group: 'six',
      subscriptions: { Six: '*' },
      consumeFrom: 'first',
      handler: (message) => {
        const { bornHost, storeHost } = message.stored
        seen.push({ text: message.text, born: bornHost, stored: storeHost, id: message.offsetMessageId })
      },
    })
    await consumer.start()
    await vi.waitFor(() => expect(seen).toHaveLength(1), { timeout: 60_000, interval: 50 })
    expect(seen[0]).toMatchObject({ text: 'hello', born: '::1', stored: '::1' })
    // 16 bytes of address, 4 of port, 8 of offset.
    expect(seen[0]?.id).toMatch(/^0{31}1[\dA-F]{24}$/)
    const admin = client.admin()
    expect((await admin.messages.viewById(seen[0]?.id ?? '')).messageId).toBe(messageId)
    const [{ address } = { address: '' }] = (await admin.groups.connection('six')).connectionSet.map(({ clientAddr: address }) => ({
      address,
    }))
    expect(address).toMatch(/^\[?::1\]?:\d+$/)
  } finally {
    await client.close({ drainMs: 1000 })
    await local.close()
  }
})
