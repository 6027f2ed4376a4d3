/** Which of the two builds the executable takes: the bundle, or what tsc wrote. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'

interface Bundle {
  readonly BUNDLE: string
  readonly CODE_CACHE: string
  isCurrent(): boolean
  loadFast(): { readonly answer: number }
  load(): { readonly script: { createCachedData(): Buffer } }
}

let root: string
let bundle: Bundle

function file(path: string, text: string, at: number): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  utimesSync(path, at, at)
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'skylark-bundle-'))
  const bin = join(root, 'packages/standalone/bin')
  cpSync(join(import.meta.dirname, '../bin'), bin, { recursive: true })
  bundle = createRequire(import.meta.url)(join(bin, 'bundle.cjs')) as Bundle
})

afterEach(() => rmSync(root, { recursive: true, force: true }))

const built = (name: string, at: number): void => file(join(root, `packages/${name}/dist/.tsbuildinfo`), '{}', at)

test('a developer who runs tsc alone gets that build, not the bundle of yesterday', () => {
  file(join(root, 'packages/standalone/tsconfig.json'), '{}', 1)
  expect(bundle.isCurrent()).toBe(false)
  built('store', 100)
  file(bundle.BUNDLE, 'exports.answer = 1', 200)
  expect(bundle.isCurrent()).toBe(true)
  built('broker', 300)
  expect(bundle.isCurrent()).toBe(false)
})

test('an installed package runs its bundle, whatever times its files were unpacked with', () => {
  built('broker', 300)
  file(bundle.BUNDLE, 'exports.answer = 1', 200)
  expect(bundle.isCurrent()).toBe(true)
})

test('compiled code is used where it fits, and costs nobody the start where it does not', () => {
  file(bundle.BUNDLE, 'exports.answer = 42', 200)
  expect(bundle.loadFast().answer).toBe(42)
  writeFileSync(bundle.CODE_CACHE, bundle.load().script.createCachedData())
  expect(bundle.loadFast().answer).toBe(42)
  // Of another build of V8, or cut off.
  writeFileSync(bundle.CODE_CACHE, Buffer.alloc(4096, 7))
  expect(bundle.loadFast().answer).toBe(42)
  writeFileSync(bundle.CODE_CACHE, '')
  expect(bundle.loadFast().answer).toBe(42)
})
