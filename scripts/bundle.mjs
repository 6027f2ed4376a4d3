#!/usr/bin/env node
// Bundles the executables (npm run build, npm start): see packages/standalone/bin/bundle.cjs for why. Does nothing when the bundle is
// younger than what it is made of. Libraries stay as tsc built them.
//   node scripts/bundle.mjs [--force]
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..')
const { BUNDLE, isCurrent } = createRequire(import.meta.url)('../packages/standalone/bin/bundle.cjs')
/** Native, or large and rarely needed. */
const EXTERNAL = ['better-sqlite3', 'fastify', 'lz4-napi', '@foxglove/wasm-zstd', 'msgpackr']

if (isCurrent() && !process.argv.includes('--force')) process.exit(0)

const { build } = await import('esbuild').catch((error) => {
  // Where there is none for this platform, executables run as tsc built them.
  console.error(`bundle: none, servers start more slowly: esbuild cannot be loaded: ${error.message}`)
  process.exit(0)
})
const folder = dirname(BUNDLE)
// First of all: compiled code is never read for a source that it was not made from.
rmSync(folder, { recursive: true, force: true })
await build({
  absWorkingDir: ROOT,
  entryPoints: ['packages/standalone/src/main.ts'],
  outfile: BUNDLE,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  conditions: ['source'],
  external: EXTERNAL,
  // Parts are loaded when they are asked for, by require: compiled scripts know no import().
  supported: { 'dynamic-import': false },
  charset: 'ascii',
  define: { 'import.meta.url': '__bundleUrl' },
  banner: { js: "const __bundleUrl = require('node:url').pathToFileURL(__filename).href;" },
  sourcemap: 'linked',
  sourcesContent: false,
  logLevel: 'warning',
})

// A build of other packages' sources while this ran would be older than the bundle, and yet not in it: rare, and mended by the next build.
const made = spawnSync(process.execPath, [join(ROOT, 'scripts', 'code-cache.cjs')], { encoding: 'utf8', timeout: 60_000 })
if (made.status !== 0) {
  console.error(`bundle: no compiled code could be kept, servers start more slowly: ${made.error ?? made.stderr}`)
}
