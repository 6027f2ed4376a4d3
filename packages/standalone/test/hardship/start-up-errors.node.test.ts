/** Starts that cannot succeed: each ends with a code other than 0 and says what is wrong, with which value, and what to do. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { freePort } from '../../../../scripts/free-ports.ts'
import { Home } from './processes.node.ts'
import type { Server } from './processes.node.ts'

let home: Home
beforeEach(() => {
  home = new Home()
})
afterEach(() => home.dispose())

const STACK = /^\s+at /m

async function fails(server: Server, code: number, ...parts: readonly string[]): Promise<void> {
  expect(await server.ended, server.stderr).toEqual({ code, signal: null })
  for (const part of parts) expect(server.stderr).toContain(part)
  expect(server.stderr).not.toMatch(STACK)
  expect(server.stdout).not.toContain('boot success')
}

describe('a port that is taken', () => {
  test.each(['mqbroker', 'mqnamesrv'] as const)('by another program: %s names the port, the process and the setting', async (script) => {
    const squatter = createServer()
    const port = await freePort()
    await once(squatter.listen(port, '127.0.0.1'), 'listening')
    const conf = script === 'mqbroker' ? home.brokerConf(port, '') : home.namesrvConf(port)
    await fails(home.start(script, ['-c', conf]), 1, `port ${port} is in use by process ${process.pid}`, 'listenPort')
    squatter.close()
  })

  test('leaves the store as it was: with another port the broker starts, and finds its messages', async () => {
    const squatter = createServer()
    const [taken, free] = [await freePort(), await freePort()]
    await once(squatter.listen(taken, '127.0.0.1'), 'listening')
    const store = { storePathRootDir: join(home.path, 'store') }
    await fails(home.start('mqbroker', ['-c', home.brokerConf(taken, '', store)]), 1, `port ${taken}`)
    await home.start('mqbroker', ['-c', home.brokerConf(free, '', store)]).up()
    squatter.close()
  })

  test('below 1024, where the user may not, or none of a port', async () => {
    await fails(home.start('mqbroker', ['-c', home.brokerConf(70_000, '')]), 2, 'listenPort=70000', '65535')
  })

  test('an address that is none of this machine', async () => {
    const conf = home.brokerConf(await freePort(), '', { bindAddress: '192.0.2.123' })
    await fails(home.start('mqbroker', ['-c', conf]), 1, '192.0.2.123', 'bindAddress')
  })
})

describe('a store', () => {
  test('that a running broker holds: names the folder and the process, and that one goes on', async () => {
    const store = { storePathRootDir: join(home.path, 'store') }
    const first = home.start('mqbroker', ['-c', home.brokerConf(await freePort(), '', store)])
    await first.up()
    const second = home.start('mqbroker', ['-c', home.brokerConf(await freePort(), '', store)])
    await fails(second, 1, `${store.storePathRootDir} is in use by process ${first.pid}`, 'storePathRootDir')
    expect(first.isRunning).toBe(true)
    // The lock ends with its holder, however that ends.
    await first.end('SIGKILL')
    await home.start('mqbroker', ['-c', home.brokerConf(await freePort(), '', store)]).up()
  })

  test('below a file', async () => {
    const file = home.file('occupied', '')
    const conf = home.brokerConf(await freePort(), '', { storePathRootDir: join(file, 'store') })
    await fails(home.start('mqbroker', ['-c', conf]), 1, file, 'storePathRootDir')
  })

  test('that is a file', async () => {
    const file = home.file('occupied', '')
    await fails(
      home.start('mqbroker', ['-c', home.brokerConf(await freePort(), '', { storePathRootDir: file })]),
      1,
      file,
      'storePathRootDir',
    )
  })

  // Nothing is forbidden to root.
  test.skipIf(process.getuid?.() === 0)('in a folder that may not be written', async () => {
    const folder = join(home.path, 'locked')
    mkdirSync(folder)
    chmodSync(folder, 0o555)
    const conf = home.brokerConf(await freePort(), '', { storePathRootDir: join(folder, 'store') })
    await fails(home.start('mqbroker', ['-c', conf]), 1, folder, 'storePathRootDir')
  })

  test.runIf(process.platform === 'linux')('on a file system that cannot be written: /proc', async () => {
    const conf = home.brokerConf(await freePort(), '', { storePathRootDir: '/proc/store' })
    await fails(home.start('mqbroker', ['-c', conf]), 1, '/proc/store', 'storePathRootDir')
  })

  test('whose metadata is no database: names the file', async () => {
    const store = join(home.path, 'store')
    const metadata = join(store, 'skylark', 'metadata.db')
    mkdirSync(dirname(metadata), { recursive: true })
    writeFileSync(metadata, 'this was never SQLite '.repeat(1000))
    const server = home.start('mqbroker', ['-c', home.brokerConf(await freePort(), '', { storePathRootDir: store })])
    await fails(server, 1, metadata)
    expect(readFileSync(metadata, 'utf8')).toContain('this was never SQLite')
  })
})

describe('a configuration', () => {
  test.each(['mqbroker', 'mqnamesrv'] as const)('that is not there, or a folder: %s names it', async (script) => {
    const missing = join(home.path, 'no-such.conf')
    await fails(home.start(script, ['-c', missing]), 2, missing)
    await fails(home.start(script, ['-c', home.path]), 2, home.path)
    await fails(home.start(script, ['-c']), 2, '-c')
    await fails(home.start(script, ['--listen', '5']), 2, '--listen')
  })

  test.each([
    ['listenPort', 'many'],
    ['listenPort', '-1'],
    ['listenPort', ''],
    ['mappedFileSizeCommitLog', '12'],
    ['mappedFileSizeCommitLog', '1GB'],
    ['flushDiskType', 'SOMETIMES'],
    ['brokerId', '-1'],
    ['maxMessageSize', '0'],
    ['autoCreateTopicEnable', 'perhaps'],
    ['fileReservedTime', '0'],
    ['messageDelayLevel', '1s 5x'],
    ['deleteWhen', '25'],
    ['namesrvAddr', 'nowhere'],
  ])('with %s=%s is refused with the value, and what is allowed', async (key, value) => {
    const server = home.start('mqbroker', ['-c', home.brokerConf(await freePort(), '', { [key]: value })])
    const timer = setTimeout(() => server.child.kill('SIGKILL'), 60_000)
    const { code } = await server.ended
    clearTimeout(timer)
    expect([1, 2], server.stderr).toContain(code)
    expect(server.stderr).toContain(key)
    if (value !== '') expect(server.stderr).toContain(value)
    expect(server.stderr).not.toMatch(STACK)
  })

  test('with all that is wrong with it, at once', async () => {
    const conf = home.file('bad.conf', 'listenPort=many\nflushDiskType=SOMETIMES\nbrokrName=x\n')
    await fails(home.start('mqbroker', ['-c', conf]), 2, 'listenPort=many', 'flushDiskType=SOMETIMES', 'brokrName', 'brokerName')
  })
})

test('a command that does not exist', async () => {
  const child = spawn(join(import.meta.dirname, '../../../../distribution/bin/mqadmin'), ['noSuchCommand'], { stdio: 'pipe' })
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  const [code] = (await once(child, 'close')) as [number]
  expect(code).not.toBe(0)
  expect(stderr).toContain('noSuchCommand')
})
