import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { consoleLog, nodeDisk, nodeNetwork } from '@skylarkmq/runtime/node'
import { pinoLog } from '@skylarkmq/runtime/pino'
import { describe, expect, it } from 'vitest'

describe('the runtime on Node', () => {
  it('never keeps a process alive by its timers alone', () => {
    const program = `
      import { nodeRuntime } from '@skylarkmq/runtime/node'
      const { clock } = nodeRuntime()
      clock.every(1000, () => {})
      clock.after(3_600_000, () => {})
      void clock.sleep(3_600_000)
    `
    const cwd = dirname(fileURLToPath(import.meta.url))
    const args = ['--conditions=source', '--import', 'tsx', '--input-type=module', '--eval', program]
    const ended = spawnSync(process.execPath, args, { cwd, timeout: 60_000, encoding: 'utf8' })
    expect({ status: ended.status, stderr: ended.stderr }).toEqual({ status: 0, stderr: '' })
  })

  it('makes files long where the platform has no tool to reserve room', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'skylark-disk-'))
    const path = process.env['PATH']
    process.env['PATH'] = folder
    try {
      const file = nodeDisk().open(join(folder, 'segment'), { create: true })
      await file.allocate(1_000_000)
      expect(file.sizeBytes()).toBe(1_000_000)
      file.close()
    } finally {
      process.env['PATH'] = path
      rmSync(folder, { recursive: true })
    }
  })

  it('names the address and the patience when a peer accepts and then says nothing', async () => {
    const network = nodeNetwork()
    const listener = await network.listen({ host: '127.0.0.1', port: 0, onConnection: (connection) => connection.pause() })
    const connecting = network.connect({ host: '127.0.0.1', port: listener.port, timeoutMs: 20, tls: { rejectUnauthorized: false } })
    await expect(connecting).rejects.toMatchObject({
      code: 'ETIMEDOUT',
      message: `connect to 127.0.0.1:${listener.port} timed out after 20 ms (ETIMEDOUT): check that the host is reachable and the port open`,
    })
    await listener.close()
  })

  it('writes a plain line for people: time, level, sentence, fields', () => {
    const lines: string[] = []
    const log = consoleLog({ level: 'info', write: (line) => lines.push(line) }).child({ part: 'store' })
    log.debug('not this')
    log.info('segment created', { path: '/data/a b', bytes: 1024, cold: undefined })
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z INFO {2}segment created part=store path="\/data\/a b" bytes=1024$/)
  })

  it('writes a line of JSON for machines', () => {
    const lines: string[] = []
    const log = pinoLog({ stream: { write: (line: string) => lines.push(line) }, fields: { broker: 'a' } })
    log.debug('not this')
    log.warn('slow disk', { ms: 12 })
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { level: 'warn', time: expect.any(String), broker: 'a', ms: 12, msg: 'slow disk' },
    ])
  })
})
