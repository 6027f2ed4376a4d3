import { nodeRuntime } from '@skylarkmq/runtime/node'
import { describe, expect, it } from 'vitest'
import { createRemotingClient, expectSuccess, route, startRemotingServer } from '../../src/index.ts'
import { defineCommand, int, string } from '../../src/protocol/index.ts'

const Echo = defineCommand({
  code: 9001,
  name: 'ECHO',
  server: 'broker',
  summary: 'test',
  request: { text: string(), delayMs: int() },
  response: { text: string() },
})
const lane = { name: 'test', maxInFlight: 100 }

describe('a client and a server over real sockets', () => {
  it('a request is answered, with its header and body', async () => {
    const runtime = nodeRuntime()
    const server = await startRemotingServer(runtime, {
      name: 'the broker b1',
      host: '127.0.0.1',
      port: 0,
      routes: [route(Echo, lane, (request, { body }) => ({ code: 0, header: { text: request.text }, body }))],
    })
    const client = createRemotingClient({ runtime })
    try {
      const address = `127.0.0.1:${server.port}`
      const answer = await client.invoke(address, Echo, { text: 'grüß dich', delayMs: 0 }, { timeoutMs: 3000, body: Buffer.from('body') })
      expect(expectSuccess(answer).header()).toEqual({ text: 'grüß dich' })
      expect(Buffer.from(answer.body).toString()).toBe('body')
      expect(client.addresses).toEqual([address])
    } finally {
      client.close()
      await server.close()
    }
  })
})
