import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { consoleLog, nodeClock, nodeDisk, nodeNetwork, nodeRandom } from '@skylarkmq/runtime/node'
import { pinoLog } from '@skylarkmq/runtime/pino'
import { afterAll } from 'vitest'
import { clockConformance } from './conformance/clock.ts'
import { diskConformance } from './conformance/disk.ts'
import { logConformance } from './conformance/log.ts'
import { networkConformance } from './conformance/network.ts'
import { randomConformance } from './conformance/random.ts'

const wait = <T>(promise: Promise<T>): Promise<T> => promise
const folders: string[] = []

afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

clockConformance('node', () => ({ clock: nodeClock(), wait }))

diskConformance('node', () => {
  const folder = mkdtempSync(join(tmpdir(), 'skylark-disk-'))
  folders.push(folder)
  return { disk: nodeDisk(), folder, wait }
})

networkConformance('node (shared read buffer)', () => ({ network: nodeNetwork(), wait }))
networkConformance('node (a buffer per read)', () => ({ network: nodeNetwork({ sharedReadBuffer: false }), wait }))

randomConformance('node', () => nodeRandom())

logConformance('console', () => {
  const lines: string[] = []
  return { log: consoleLog({ level: 'debug', write: (line) => lines.push(line) }), lines: () => lines }
})

logConformance('pino', () => {
  const lines: string[] = []
  return { log: pinoLog({ level: 'debug', stream: { write: (line: string) => lines.push(line) } }), lines: () => lines }
})
