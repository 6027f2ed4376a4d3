import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeRecords } from '@skylarkmq/remoting/protocol'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { afterAll, expect, test } from 'vitest'
import { openMessageStore } from '../src/index.ts'
import { OPTIONS, textOf } from './support/fixture.ts'

const folder = mkdtempSync(join(tmpdir(), 'skylark-kill-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Runs the appending process until it has acknowledged some messages, kills it, and gives what it printed. */
async function runAndKill(directory: string, flush: string, from: number, bytesWanted: number): Promise<string> {
  const script = join(import.meta.dirname, 'support/append-forever.ts')
  const child = spawn(process.execPath, ['--conditions=source', '--import', 'tsx', script, directory, flush, String(from)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let printed = ''
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => {
      printed += chunk.toString('latin1')
      if (printed.length > bytesWanted) child.kill('SIGKILL')
    })
    child.on('close', (code, signal) => (signal === 'SIGKILL' ? resolve() : reject(new Error(`the writer ended with ${code}`))))
  })
  return printed
}

test.each(['async', 'sync'] as const)(
  'a writer killed with -9 again and again, %s flush: each acknowledged message is at its offset, unaltered',
  async (flush) => {
    const directory = join(folder, flush)
    const acknowledged = new Map<string, number>()
    let next = 0
    for (let cycle = 0; cycle < 4; cycle++) {
      const printed = await runAndKill(directory, flush, next, 20_000 + cycle * 30_000)
      for (const line of printed.slice(0, printed.lastIndexOf('\n')).split('\n')) {
        const [queueId, queueOffset, n] = line.split(' ').map(Number)
        acknowledged.set(`${queueId}/${queueOffset}`, n ?? -1)
        next = Math.max(next, (n ?? 0) + 1)
      }
      // Beyond every number that the writer may have used without an answer.
      next += 10_000
      const store = await openMessageStore(nodeRuntime(), { ...OPTIONS, rootDirectory: directory, segmentBytes: 4 * 1024 * 1024, flush })
      expect(store.recovery.cleanStop).toBe(false)
      let checked = 0
      for (let queueId = 0; queueId < 8; queueId++) {
        for (let offset = 0; offset < store.maxOffset('orders', queueId); ) {
          const read = await store.read({ topic: 'orders', queueId, offset, maxMessages: 500, maxBytes: 8e6 })
          for (const record of decodeRecords(Buffer.from(read.body))) {
            const text = Buffer.from(record.body).toString()
            const n = Number(text.split(':')[0])
            if (text !== textOf(n) || n % 8 !== queueId) throw new Error(`message ${n} was altered`)
            const known = acknowledged.get(`${queueId}/${record.queueOffset}`)
            if (known === undefined) continue
            expect(n).toBe(known)
            checked++
          }
          offset = read.nextOffset
        }
      }
      expect(checked).toBe(acknowledged.size)
      expect(checked).toBeGreaterThan(1000)
      await store.close()
    }
  },
  120_000,
)
