#!/usr/bin/env node
// npm start, npm test, npm run demo: each is complete on a machine with Node and npm, also as the first command after cloning.
// Plain JavaScript without dependencies: it runs before there is a node_modules.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..')
const ABI_FILE = join(ROOT, 'node_modules', '.skylark-abi')
const SKYLARK = join(ROOT, 'packages', 'standalone', 'bin', 'skylark.cjs')

const [task = 'help', ...rest] = process.argv.slice(2)
const tasks = { start, test, check: test, demo, build: () => prepare(['packages/standalone']) }
if (!Object.hasOwn(tasks, task)) {
  console.error('usage: node scripts/run.mjs start | test | demo | build')
  process.exit(2)
}
process.chdir(ROOT)
process.exitCode = await tasks[task]()

/** NameServer and broker in one process, until Ctrl-C. */
async function start() {
  const code = await prepare(['packages/standalone'])
  return code === 0 ? await runServer([SKYLARK, 'dev', '--store', join(ROOT, 'data'), ...rest]) : code
}

/** All that CI runs. */
async function test() {
  const began = performance.now()
  const steps = [
    () => prepare([]),
    () => step('lint', tool('oxlint'), ['packages', '--ignore-pattern', '**/assembly/**']),
    () => step('format', tool('biome'), ['format', '.']),
    () => step('tests', tool('vitest'), ['run', ...rest], 'inherit'),
  ]
  let failed = 0
  for (const run of steps) {
    // Without a build nothing else can be judged; after that, one run shows all that is wrong.
    const code = await run()
    failed ||= code
    if (failed !== 0 && run === steps[0]) break
  }
  console.log(failed === 0 ? `All passed in ${seconds(began)}.` : `FAILED after ${seconds(began)}; the first failing step is above.`)
  return failed
}

/** The stream of earthquakes, from nothing to a printed result. */
async function demo() {
  const code = await prepare(['packages/standalone'])
  if (code !== 0) return code
  const example = readdirSync('examples', { recursive: true }).find(
    (name) => /(^|\/)[^/]*earthquake[^/]*(?<!\.test)\.(ts|mjs)$/.test(name) && !name.includes('node_modules'),
  )
  if (example === undefined) {
    console.error('examples/ holds no earthquake stream')
    return 1
  }
  return await runServer(['--import', 'tsx', join('examples', example), ...rest])
}

/** Installs if need be, then builds the projects (all when none is named). */
async function prepare(projects) {
  const missing = installReason()
  if (missing !== undefined) {
    const name = `install (${missing}; a minute or more, mostly compiling better-sqlite3)`
    const code = await step(name, 'npm', ['ci', '--no-audit', '--no-fund'], 'pipe', ['install', '--no-save', '--no-audit', '--no-fund'])
    if (code !== 0) return code
    writeFileSync(ABI_FILE, process.versions.modules)
  }
  const code = await step('build', tool('tsc'), ['-b', ...projects])
  return code === 0 ? await step('bundle', process.execPath, [join('scripts', 'bundle.mjs')]) : code
}

/** Why node_modules must be made (again): npm's own record of what it holds is compared with package-lock.json. */
function installReason() {
  const hiddenLock = join(ROOT, 'node_modules', '.package-lock.json')
  if (!existsSync(hiddenLock)) return 'there is no node_modules'
  if (existsSync(ABI_FILE) && readFileSync(ABI_FILE, 'utf8') !== process.versions.modules) return 'Node has changed'
  const wanted = JSON.parse(readFileSync('package-lock.json', 'utf8')).packages
  const present = JSON.parse(readFileSync(hiddenLock, 'utf8')).packages
  for (const [path, { version, optional, peer, link }] of Object.entries(wanted)) {
    if (!path.startsWith('node_modules/') || link || optional || peer) continue
    if (present[path]?.version !== version) return 'package-lock.json has changed'
  }
  return undefined
}

function tool(name) {
  return join(ROOT, 'node_modules', '.bin', name)
}

function seconds(began) {
  return `${((performance.now() - began) / 1000).toFixed(1)} s`
}

/** One step, with the time it took; its output is shown when it fails. `otherwise` are the arguments of a second try. */
async function step(name, command, args, stdio = 'pipe', otherwise = undefined) {
  const began = performance.now()
  if (process.stdout.isTTY || stdio === 'inherit') process.stdout.write(`· ${name} …${stdio === 'inherit' ? '\n' : ''}`)
  let { code, output } = await run(command, args, stdio)
  // npm ci insists on packages for foreign platforms in the lock file, which a registry mirror may not have; npm install does not.
  if (code !== 0 && otherwise !== undefined && output.includes('EUSAGE')) ({ code, output } = await run(command, otherwise, stdio))
  const erase = process.stdout.isTTY && stdio !== 'inherit' ? '\r\x1b[K' : ''
  console.log(`${erase}${code === 0 ? '✓' : '✗'} ${name} ${seconds(began)}`)
  if (code !== 0) process.stdout.write(output)
  return code
}

function run(command, args, stdio) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: ROOT,
      env: environment(),
      stdio: ['ignore', stdio, stdio],
      shell: process.platform === 'win32',
    })
    let output = ''
    child.stdout?.on('data', (chunk) => (output += chunk))
    child.stderr?.on('data', (chunk) => (output += chunk))
    child.on('error', (error) => resolve({ code: 1, output: `${error.message}\n` }))
    child.on('close', (code, signal) => resolve({ code: code ?? 128 + (constants.signals[signal] ?? 0), output }))
  })
}

/** A server as a child that gets our signals; its exit code is ours. A terminal's Ctrl-C reaches it twice, which it takes as once. */
function runServer(args) {
  return new Promise((resolve) => {
    const env = { ...environment(), UV_THREADPOOL_SIZE: process.env.UV_THREADPOOL_SIZE ?? '8' }
    delete env.NODE_EXTRA_CA_CERTS
    const child = spawn(process.execPath, args, { cwd: ROOT, env, stdio: 'inherit' })
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
    stopWithParent(child)
    child.on('error', (error) => {
      console.error(error.message)
      resolve(1)
    })
    child.on('close', (code, signal) => resolve(code ?? 128 + (constants.signals[signal] ?? 0)))
  })
}

/** `kill` of npm ends its shell but not what the shell runs: a server whose npm is gone stops too. */
function stopWithParent(child) {
  if (process.env.npm_lifecycle_event === undefined) return
  const parent = process.ppid
  const watch = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(watch)
    child.kill('SIGTERM')
  }, 250)
  watch.unref()
}

/** Node's headers of the system, where they are, spare node-gyp a download. */
function environment() {
  const hasHeaders = process.execPath === '/usr/bin/node' && existsSync('/usr/include/node/node.h')
  return hasHeaders ? { ...process.env, npm_config_nodedir: '/usr' } : process.env
}
