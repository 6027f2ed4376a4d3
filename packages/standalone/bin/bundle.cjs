// The executables' bundle: all of this repository's code in one file, beside V8's compiled form of it. Two hundred modules loaded one by
// one cost a start a quarter of a second of CPU, compiling one file a tenth; the compiled form (Node itself keeps one from 22.8 on) costs
// nothing. Both are made by scripts/bundle.mjs.
const { readFileSync, statSync } = require('node:fs')
const { createRequire } = require('node:module')
const { dirname, join } = require('node:path')
const { Script } = require('node:vm')

const PACKAGES = ['runtime', 'remoting', 'store', 'namesrv', 'broker', 'client', 'tools', 'standalone']
const DIST = join(__dirname, '..', 'dist')
const BUNDLE = join(DIST, 'bundle', 'main.cjs')
/** Compiled code fits one build of V8 only; another one would refuse it after having read it. */
const CODE_CACHE = `${BUNDLE}.${process.versions.v8}-${process.arch}.cache`

const changedAt = (file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0

/** In the repository, whoever has run `tsc -b` alone means that build, not an older bundle. Published packages hold no tsconfig.json. */
function isCurrent() {
  const bundledAt = changedAt(BUNDLE)
  if (bundledAt === 0) return false
  if (changedAt(join(__dirname, '..', 'tsconfig.json')) === 0) return true
  return PACKAGES.every((name) => changedAt(join(__dirname, '..', '..', name, 'dist', '.tsbuildinfo')) <= bundledAt)
}

/** The bundle's exports and its script. The bundle is ASCII, which esbuild sees to: reading it costs no decoding. */
function load(cachedData) {
  const source = `(function (exports, require, module, __filename, __dirname) {${readFileSync(BUNDLE, 'latin1')}\n})`
  const script = new Script(source, { filename: BUNDLE, ...(cachedData === undefined ? {} : { cachedData }) })
  const module = { exports: {} }
  script.runInThisContext()(module.exports, createRequire(BUNDLE), module, BUNDLE, dirname(BUNDLE))
  return { script, exports: module.exports }
}

function codeCache() {
  try {
    return readFileSync(CODE_CACHE)
  } catch {
    return undefined
  }
}

/** What the executable runs, as fast as it can be had here. Only by require does Node apply source maps (--enable-source-maps). */
function loadFast() {
  const cachedData = process.sourceMapsEnabled ? undefined : codeCache()
  return cachedData === undefined ? require(BUNDLE) : load(cachedData).exports
}

module.exports = { BUNDLE, CODE_CACHE, DIST, isCurrent, load, loadFast }
