#!/usr/bin/env node
// CommonJS on purpose: the module loader uses libuv's thread pool before the first line of an ES module runs, and then its size is
// fixed. Eight threads let cold reads of the log overlap with a flush.
process.env.UV_THREADPOOL_SIZE ??= '8'

// Keeps compiled code between starts, where Node can (22.8).
require('node:module').enableCompileCache?.()

const { existsSync } = require('node:fs')
const { join } = require('node:path')
const { DIST, isCurrent, loadFast } = require('./bundle.cjs')

const fromSource = process.execArgv.some((argument) => argument.includes('conditions=source'))
const built = join(DIST, 'main.js')

async function main() {
  if (fromSource) return await import('../src/main.ts')
  return isCurrent() ? loadFast() : await import('../dist/main.js')
}

if (!fromSource && !isCurrent() && !existsSync(built)) {
  console.error(`skylark: ${built} is missing; build first: npm run build (or npm start, which does)`)
  process.exitCode = 1
} else {
  main()
    .then(({ runSkylark }) => {
      // Little outlives its turn, so that helpers save nothing when young garbage is collected; but the collection, and all else, waits
      // until a busy machine has let each of them run (measured: up to 30 ms, against one at most). Not before compiled code was loaded:
      // V8 refuses what was kept under other flags.
      require('node:v8').setFlagsFromString('--no-parallel-scavenge')
      return runSkylark(process.argv.slice(2))
    })
    .then((code) => {
      process.exitCode = code
    })
    .catch((error) => {
      console.error(error)
      process.exitCode = 70
    })
}
