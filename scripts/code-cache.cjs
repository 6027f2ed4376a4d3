// Keeps the bundle's compiled code: runs what a start runs (servers, a first message, a tool), and then asks V8 for all that it compiled.
const { mkdtempSync, renameSync, rmSync, writeFileSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { CODE_CACHE, load } = require('../packages/standalone/bin/bundle.cjs')

const home = mkdtempSync(join(tmpdir(), 'skylark-code-cache-'))
Object.assign(process.env, { HOME: home, SKYLARK_RUN_DIR: home, SKYLARK_LOG_LEVEL: 'error' })

let output = ''
const write = process.stdout.write
process.stdout.write = (text, ...rest) => {
  output += text
  const done = rest.at(-1)
  if (typeof done === 'function') done()
  return true
}

async function said(pattern) {
  for (let tries = 0; tries < 3_000; tries++) {
    const found = pattern.exec(output)
    if (found !== null) return found[1]
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error(`no ${pattern} within 30 s; said: ${output}`)
}

async function main() {
  const { script, exports } = load()
  const run = exports.runSkylark
  const files = { namesrv: join(home, 'namesrv.conf'), broker: join(home, 'broker.conf') }
  writeFileSync(files.namesrv, `listenPort=0\nbindAddress=127.0.0.1\nkvConfigPath=${home}/kv.json\nconfigStorePath=${home}/ns.properties\n`)
  const broker = { brokerName: 'b', brokerIP1: '127.0.0.1', bindAddress: '127.0.0.1', listenPort: 0, storePathRootDir: join(home, 'store') }
  writeFileSync(files.broker, Object.entries(broker).map(([key, value]) => `${key}=${value}\n`).join(''))
  const running = [run(['namesrv', '-c', files.namesrv])]
  const namesrv = await said(/Name Server boot success\..*address (\S+)/)
  running.push(run(['broker', '-c', files.broker, '-n', namesrv]))
  await said(/(The broker)\[/)
  running.push(run(['dev', '--port', '0', '--namesrv-port', '0', '--store', join(home, 'dev')]))
  const local = await said(/NameServer {2}(\S+)/)
  for (const line of ['sendMessage -t T -p hello', 'topicRoute -t T', 'clusterList', 'topicList']) await run([...line.split(' '), '-n', local])
  await run(['help'])
  process.emit('SIGINT', 'SIGINT')
  await Promise.all(running)
  writeFileSync(`${CODE_CACHE}.tmp`, script.createCachedData())
  renameSync(`${CODE_CACHE}.tmp`, CODE_CACHE)
}

main()
  .then(
    () => 0,
    (error) => {
      console.error(error)
      return 1
    },
  )
  .then((code) => {
    process.stdout.write = write
    rmSync(home, { recursive: true, force: true })
    process.exit(code)
  })
