/**
 * What a stranger does: installs our packages from their tarballs into an empty project, starts `npx skylark dev` there, and runs ten
 * lines that send and consume. Needs a build (npm test makes one first).
 *
 * Dependencies come from npm's cache where they can (`--prefer-offline`). better-sqlite3, which takes a minute to compile, is the
 * repository's own build, copied in before npm looks: the tarballs are what is tested here, not the compiler.
 */
import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'

const run = promisify(execFile)
const ROOT = join(import.meta.dirname, '..', '..', '..')
const PACKAGES = readdirSync(join(ROOT, 'packages')).filter(
  (name) => !name.startsWith('.') && existsSync(join(ROOT, 'packages', name, 'package.json')),
)

const SCRIPT = `import { createClient } from '@skylarkmq/client'
const client = await createClient({ namesrvAddr: process.argv[2] })
await client.producer({ group: 'writers' }).send({ topic: 'hello', body: 'from a stranger' })
const consumer = client.pushConsumer({
  group: 'readers',
  subscriptions: { hello: '*' },
  consumeFrom: 'first',
  handler: (message) => { console.log(message.text); setImmediate(() => client.close()) },
})
await consumer.start()
`

const COMMONJS = `const client = require('@skylarkmq/client')
console.log(typeof client, typeof client.createClient, new client.RocketError('', { code: 'BAD_ARGUMENT' }).code)
client.createClient({ namesrvAddr: process.argv[2] }).then(async (mq) => {
  const { queue } = await mq.producer({ group: 'writers' }).send({ topic: 'hello-cjs', body: 'from CommonJS' })
  const reader = mq.pullConsumer({ group: 'readers-cjs', consumeFrom: 'first' })
  await reader.assign([queue])
  console.log((await reader.poll())[0].text)
  await mq.close()
})
`

let project: string
let server: ChildProcess | undefined

beforeAll(async () => {
  project = mkdtempSync(join(tmpdir(), 'skylark-pack-'))
  const tarballs = join(project, 'tarballs')
  mkdirSync(tarballs)
  for (const name of PACKAGES) {
    await run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', tarballs], { cwd: join(ROOT, 'packages', name) })
  }
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'stranger', private: true, type: 'module' }))
  // With what it needs at run time; npm leaves a package alone that is there in a version that fits.
  for (const name of ['better-sqlite3', 'bindings', 'file-uri-to-path']) {
    const filter = (path: string) => !/[/\\](obj|obj\.target|\.deps|deps)$/.test(path)
    cpSync(join(ROOT, 'node_modules', name), join(project, 'node_modules', name), { recursive: true, filter })
  }
  const files = readdirSync(tarballs).map((file) => join(tarballs, file))
  await run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', ...files], { cwd: project })
  // npm may have to ask the registry, and waits before it asks again.
}, 600_000)

afterAll(async () => {
  if (server?.exitCode === null && server.signalCode === null) {
    const closed = once(server, 'close')
    process.kill(-(server.pid as number), 'SIGKILL')
    await closed
  }
  rmSync(project, { recursive: true, force: true })
})

it('packs what runs and types, and no tests', () => {
  for (const name of PACKAGES) {
    const folder = join(project, 'node_modules', '@skylarkmq', name)
    const { exports } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
      exports: Record<string, Record<string, string>>
    }
    for (const [door, conditions] of Object.entries(exports)) {
      for (const [condition, file] of Object.entries(conditions))
        expect(existsSync(join(folder, file)), `${name} ${door} ${condition}`).toBe(true)
    }
    expect(existsSync(join(folder, 'test'))).toBe(false)
  }
})

it('npx skylark dev starts a broker, ten lines send and consume, Ctrl-C stops it', async () => {
  // A process group of its own, so that a signal reaches npx, its shell and the server at once, as a terminal's Ctrl-C does.
  server = spawn('npx', ['skylark', 'dev', '--port', '0', '--namesrv-port', '0'], {
    cwd: project,
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  const closed = once(server, 'close')
  const ready = new Promise<string>((resolve, reject) => {
    server?.stdout?.on('data', (chunk: Buffer) => {
      output += chunk.toString()
      const address = /NameServer +(\S+)/.exec(output)?.[1]
      if (address !== undefined && output.includes('Ctrl-C')) resolve(address)
    })
    closed.then(() => reject(new Error(`skylark dev ended: ${output}`)), reject)
  })
  const namesrvAddr = await ready

  writeFileSync(join(project, 'hello.js'), SCRIPT)
  expect(SCRIPT.trim().split('\n').length).toBeLessThanOrEqual(10)
  const { stdout } = await run(process.execPath, ['hello.js', namesrvAddr], { cwd: project, timeout: 100_000 })
  expect(stdout).toBe('from a stranger\n')

  // CommonJS callers: Node loads the client's ECMAScript modules by require, from 20.19 and 22.12 on.
  writeFileSync(join(project, 'hello.cjs'), COMMONJS)
  const common = await run(process.execPath, ['hello.cjs', namesrvAddr], { cwd: project, timeout: 100_000 })
  expect(common.stdout).toBe('object function BAD_ARGUMENT\nfrom CommonJS\n')

  process.kill(-(server.pid as number), 'SIGINT')
  await closed
  expect(output).toContain('Stopped cleanly')
})
