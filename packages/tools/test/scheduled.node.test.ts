/** What a person sees of messages that wait for their time. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from '@skylarkmq/client'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { startLocal } from '@skylarkmq/standalone'
import type { Local } from '@skylarkmq/standalone'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { runCli } from '../src/index.ts'

const runtime = nodeRuntime()
const storePath = mkdtempSync(join(tmpdir(), 'skylark-scheduled-'))
let local: Local
beforeAll(async () => {
  local = await startLocal(runtime, { storePath })
})
afterAll(async () => {
  await local?.close()
  rmSync(storePath, { recursive: true, force: true })
})

async function skylark(...argv: string[]) {
  let out = ''
  const world = {
    runtime,
    env: { NAMESRV_ADDR: local.namesrvAddr },
    stdout: (text: string) => void (out += text),
    stderr: (text: string) => void (out += text),
  }
  return { code: await runCli(argv, world), out }
}

test('waiting messages are counted by topic and listed one by one; one that is taken back is gone from both', async () => {
  expect(await skylark('message', 'scheduled')).toEqual({ code: 0, out: expect.stringContaining('no message waits for its time') })
  await using client = await createClient({ namesrvAddr: local.namesrvAddr })
  const producer = client.producer({ group: 'p' })
  const tomorrow = Date.now() + 86_400_000
  const second = await producer.send({ topic: 'reminders', body: 'b', keys: 'second', deliverAt: tomorrow + 1000 })
  await producer.send({ topic: 'reminders', body: 'a', keys: 'first', deliverAt: tomorrow })
  await producer.send({ topic: 'others', body: 'c', delayMs: 3_600_000 })
  await vi.waitFor(async () => expect((await skylark('message', 'scheduled')).out).toMatch(/others +1\n.*reminders +2/), {
    timeout: 30_000,
  })

  const { out } = await skylark('scheduledMessages', '-t', 'reminders')
  const lines = out.split('\n').filter((line) => line.includes('second') || line.includes('first'))
  expect(lines.map((line) => line.includes('first'))).toEqual([true, false])
  expect(lines[0]).toContain(new Date(tomorrow).toISOString())
  expect(lines[1]).toContain(second.messageId)
  expect((await skylark('scheduledMessages', '-t', 'reminders', '-m', '1')).out).not.toContain('second')

  await producer.recall(second)
  expect((await skylark('scheduledMessages', '-t', 'reminders')).out).not.toContain('second')
})
