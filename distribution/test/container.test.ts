/**
 * The container, the compose file and the systemd unit, as far as a machine without a container engine can judge them: what they name
 * is there, and the servers start, report and stop with exactly their environment and their health check.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { BROKER_CONFIG } from '@skylarkmq/broker'
import { NAMESRV_CONFIG } from '@skylarkmq/namesrv'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { freePorts } from '../../scripts/free-ports.ts'
import { DISTRIBUTION, Home } from './processes.ts'

const read = (name: string) => readFileSync(join(DISTRIBUTION, name), 'utf8')
const dockerfile = read('Dockerfile').replaceAll('\\\n', ' ')
const compose = read('compose.yaml')

const variable = (key: string) => `SKYLARK_${key.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase()}`
const KNOWN = new Set([...Object.keys(BROKER_CONFIG.fields), ...Object.keys(NAMESRV_CONFIG.fields)].map(variable)).add('SKYLARK_RUN_DIR')

/** Of the Dockerfile's last stage. */
const environment = Object.fromEntries(
  [...(/FROM [^]*?FROM [^]*?ENV (.*)/.exec(dockerfile)?.[1] ?? '').matchAll(/(\w+)=(\S+)/g)].map(([, name, value]) => [
    name as string,
    value as string,
  ]),
)
const healthcheck = JSON.parse(/HEALTHCHECK .*CMD (\[.*\])/.exec(dockerfile)?.[1] ?? '[]') as [string, ...string[]]

let home: Home
beforeEach(() => {
  home = new Home()
})
afterEach(() => home.dispose())

describe('the image', () => {
  it('names settings that exist', () => {
    const names = [...`${dockerfile}\n${compose}`.matchAll(/\bSKYLARK_[A-Z0-9_]+/g)].map(([name]) => name)
    expect(names.length).toBeGreaterThan(8)
    expect(names.filter((name) => !KNOWN.has(name))).toEqual([])
  })

  it('starts what is there, as a user that is not root, and keeps nothing outside its volume', () => {
    const start = /ln -s \/skylark\/(\S+)/.exec(dockerfile)?.[1] ?? 'nothing'
    expect(existsSync(join(DISTRIBUTION, '..', start))).toBe(true)
    expect(dockerfile).toMatch(/\nUSER 1000:1000\n[^]*\nVOLUME \/data\n/)
    for (const path of compose.matchAll(/STORE_PATH_ROOT_DIR: (\S+)/g)) expect(path[1]).toMatch(/^\/data\//)
  })

  it('is healthy while its server is ready, and not when it has stopped', async () => {
    const [port = 0, namesrvPort = 0, brokerPort = 0] = await freePorts(3)
    const own = { ...environment, SKYLARK_METRICS_PROM_EXPORTER_HOST: '127.0.0.1', SKYLARK_RUN_DIR: home.path }
    const at = (httpPort: number) => ({ ...process.env, ...own, SKYLARK_METRICS_PROM_EXPORTER_PORT: String(httpPort) })
    const health = (httpPort: number) => spawnSync(healthcheck[0], healthcheck.slice(1), { env: at(httpPort) }).status
    const namesrv = home.run('mqnamesrv', [], { ...own, SKYLARK_LISTEN_PORT: String(namesrvPort), SKYLARK_METRICS_PROM_EXPORTER_PORT: '0' })
    await namesrv.says('boot success')
    const broker = home.run('mqbroker', [], {
      ...own,
      SKYLARK_METRICS_PROM_EXPORTER_PORT: String(port),
      SKYLARK_BROKER_NAME: 'broker-a',
      SKYLARK_BROKER_IP1: '127.0.0.1',
      SKYLARK_LISTEN_PORT: String(brokerPort),
      SKYLARK_NAMESRV_ADDR: `127.0.0.1:${namesrvPort}`,
      SKYLARK_STORE_PATH_ROOT_DIR: join(home.path, 'store'),
    })
    await broker.says(`The broker[broker-a, 127.0.0.1:${brokerPort}] boot success`)
    // The listener opens after the broker serves.
    await expect.poll(() => health(port), { timeout: 60_000, interval: 250 }).toBe(0)
    broker.child.kill('SIGTERM')
    expect((await broker.finished).code).toBe(0)
    expect(health(port)).toBe(1)
  })

  it('warns of a setting in the environment that nobody knows', async () => {
    const { stderr, code } = await home.finish('mqbroker', ['-p'], { SKYLARK_LISTEN_PROT: '1' })
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining('did you mean SKYLARK_LISTEN_PORT?') })
  })
})

describe('the Dockerfile', () => {
  const missing = spawnSync('hadolint', ['--version']).status === 0 ? undefined : 'no hadolint on this machine'
  it.skipIf(missing !== undefined)(`has nothing that hadolint warns of${missing ? ` (skipped: ${missing})` : ''}`, () => {
    const { stdout } = spawnSync('hadolint', ['--no-color', join(DISTRIBUTION, 'Dockerfile')])
    expect(stdout.toString()).toBe('')
  })
})

describe('the compose file', () => {
  it('starts two NameServers and two brokers, which know both, at ports of their own', () => {
    expect([...compose.matchAll(/^ {2}(\w+-[ab]):\n {4}<</gm)].map(([, name]) => name)).toEqual([
      'namesrv-a',
      'namesrv-b',
      'broker-a',
      'broker-b',
    ])
    expect(compose.match(/SKYLARK_NAMESRV_ADDR: namesrv-a:9876;namesrv-b:9876/g)).toHaveLength(2)
    const ports = [...compose.matchAll(/"(?:127\.0\.0\.1:)?(\d+):\d+"/g)].map(([, port]) => port)
    expect(new Set(ports).size).toBe(ports.length)
  })
})

describe('the systemd unit', () => {
  const missing = spawnSync('systemd-analyze', ['--version']).status === 0 ? undefined : 'no systemd-analyze on this machine'
  it.skipIf(missing !== undefined)(`is one that systemd takes${missing ? ` (skipped: ${missing})` : ''}`, () => {
    const unit = home.file('skylark@broker.service', read('systemd/skylark@.service'))
    expect(execFileSync('systemd-analyze', ['verify', unit], { stdio: ['ignore', 'pipe', 'pipe'] }).toString()).toBe('')
  })
})
