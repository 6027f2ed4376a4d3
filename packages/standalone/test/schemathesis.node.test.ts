/**
 * The admin API, read by a machine: Schemathesis (a Python program) asks whatever the OpenAPI document allows, and much that it does not,
 * and holds each answer to the document. It runs where `schemathesis` is on the PATH (or SCHEMATHESIS names it): pip install schemathesis.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startBroker } from '@skylarkmq/broker'
import { startNamesrv } from '@skylarkmq/namesrv'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { observation } from '../src/observe/start.ts'

const program = process.env['SCHEMATHESIS'] ?? 'schemathesis'
const isThere = spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0

/** All but positive_data_acceptance: which clusters and queues there are stands in no document. */
const CHECKS = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_headers_conformance',
  'response_schema_conformance',
  'negative_data_rejection',
  'unsupported_method',
  'allow_header_conformance',
]

describe.skipIf(!isThere)(`the admin API under Schemathesis${isThere ? '' : ` (skipped: ${program} is not installed)`}`, () => {
  const closes: (() => Promise<void>)[] = []
  let port = 0
  beforeAll(async () => {
    const folder = mkdtempSync(join(tmpdir(), 'skylark-schemathesis-'))
    const settings = { metricsExporterType: 'PROM', metricsPromExporterHost: '127.0.0.1', metricsPromExporterPort: 0 } as const
    const world = observation(nodeRuntime(), { ...settings, adminApi: 'CHANGE' })
    const paths = { kvConfigPath: join(folder, 'kv.json'), configStorePath: join(folder, 'ns.properties') }
    const namesrv = await startNamesrv(world.runtime, { listenPort: 0, bindAddress: '127.0.0.1', ...paths })
    closes.unshift(() => namesrv.close())
    const namesrvAddr = `127.0.0.1:${namesrv.port}`
    const broker = await startBroker(world.runtime, {
      brokerName: 'broker-a',
      bindAddress: '127.0.0.1',
      listenPort: 0,
      namesrvAddr,
      mappedFileSizeCommitLog: 1024 * 1024,
      storePathRootDir: join(folder, 'store'),
    })
    closes.unshift(() => broker.close())
    const observed = { name: 'broker', figures: () => broker.figures(), unready: () => broker.unready() }
    const observer = await world.start(observed, namesrvAddr)
    if (observer === undefined) throw new Error('the HTTP port could not be opened')
    closes.unshift(() => observer.close())
    port = observer.port
  })
  afterAll(async () => {
    for (const close of closes) await close()
  })

  test('every answer is as the document says, and none is a 500', async () => {
    const args = ['run', `http://127.0.0.1:${port}/api/v1/openapi.json`, '--checks', CHECKS.join(','), '--no-color']
    const limits = ['--max-examples', process.env['SCHEMATHESIS_EXAMPLES'] ?? '10', '--request-timeout', '30', '--generation-deterministic']
    const child = spawn(program, [...args, ...limits, '-H', 'content-type: application/json'], { cwd: tmpdir() })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => void (output += chunk.toString()))
    const code = await new Promise((resolve) => child.on('close', resolve))
    expect(code, output.slice(-6000)).toBe(0)
  }, 600_000)
})
