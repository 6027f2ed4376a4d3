import { describe, expect, it } from 'vitest'
import type { Rule } from './rules.ts'
import {
  bannedCalls,
  declaredImports,
  formatOffence,
  importCycles,
  importDirections,
  lengths,
  listedDoors,
  noFocusedTests,
  outerModules,
  packagesWithoutTests,
  strippable,
  typesAreTrue,
} from './rules.ts'
import { maskText, sourceFile } from './source.ts'

const offences = (rule: Rule, path: string, text: string): string[] => rule(sourceFile(path, text)).map(formatOffence)

describe('reading sources', () => {
  it('blanks comments, strings and regular expressions, and keeps code inside of templates', () => {
    const masked = maskText(
      "const a = 'Date.now' // Date.now\nconst r = /['\"`]/.test(x) /* Date.now */ + `Date.now ${Date.now()} end` + \"it's\" + b / c / d\n",
    )
    expect(masked.match(/Date\.now/g)).toHaveLength(1)
    expect(masked).toContain('${Date.now()}')
    expect(masked).toContain('b / c / d')
    expect(masked.split('\n')).toHaveLength(3)
  })

  it('finds imports of every form, with their lines', () => {
    const { imports } = sourceFile(
      'packages/x/src/a.ts',
      "import type { A } from './a.ts'\nimport {\n  b,\n  c,\n} from 'node:fs'\nexport { d } from './d.ts'\nexport const e = 'from'\nconst f = await import('./f.ts')\nimport './g.ts'\n",
    )
    expect(imports.map(({ specifier, line }) => `${line} ${specifier}`).sort()).toEqual([
      '1 ./a.ts',
      '5 node:fs',
      '6 ./d.ts',
      '8 ./f.ts',
      '9 ./g.ts',
    ])
    expect(imports.filter(({ isTypeOnly }) => isTypeOnly)).toHaveLength(1)
    expect(imports.filter(({ isLazy }) => isLazy)).toHaveLength(1)
  })
})

describe('each rule', () => {
  it('shows the line, the rule and the reason', () => {
    const [text] = offences(bannedCalls, 'packages/broker/src/a.ts', 'const x = 1\nconst y = Date.now()\n')
    expect(text).toBe(
      'packages/broker/src/a.ts:2  [ambient-call] const y = Date.now()\n    Date.now is ambient; use clock.now() or clock.monotonic()',
    )
  })

  it('keeps imports in direction', () => {
    const found = (path: string, specifier: string): number => offences(importDirections, path, `import { x } from '${specifier}'\n`).length
    expect(found('packages/broker/src/a.ts', '@skylarkmq/client')).toBe(1)
    expect(found('packages/broker/test/a.test.ts', '@skylarkmq/client')).toBe(0)
    expect(found('packages/store/src/a.ts', '@skylarkmq/remoting')).toBe(1)
    expect(found('packages/store/src/a.ts', '@skylarkmq/remoting/protocol')).toBe(0)
    expect(found('packages/store/test/a.test.ts', '@skylarkmq/remoting/src/protocol/frame.ts')).toBe(1)
    expect(found('packages/broker/src/a.ts', '../../store/src/index.ts')).toBe(1)
    expect(found('packages/broker/src/a.ts', '@skylarkmq/runtime/node')).toBe(1)
    expect(found('packages/remoting/src/protocol/a.ts', '../transport/types.ts')).toBe(1)
    expect(found('packages/runtime/src/sim/a.ts', '../node/clock.ts')).toBe(1)
  })

  it('keeps the outside world outside', () => {
    const text = "import fs from 'node:fs'\nimport { hostname } from 'os'\nimport zlib from 'node:zlib'\n"
    expect(offences(outerModules, 'packages/store/src/a.ts', text)).toHaveLength(2)
    expect(offences(outerModules, 'packages/runtime/src/node/a.ts', text)).toHaveLength(0)
    expect(offences(outerModules, 'packages/tools/bin/a.mjs', text)).toHaveLength(0)
  })

  it('finds ambient calls, but not methods of that name', () => {
    const banned = [
      'setTimeout(f, 1)',
      'Math.random()',
      'new Date()',
      'process.exit(1)',
      "console.log('x')",
      'setImmediate(f)',
      'performance.now()',
      'randomUUID()',
      'fetch(url)',
    ]
    for (const call of banned) expect(offences(bannedCalls, 'packages/client/src/a.ts', `${call}\n`), call).toHaveLength(1)
    for (const call of ['this.setTimeout(f)', 'new Date(clock.now())', 'route.process.call(x)', 'queue.fetch(1)', '// Date.now()']) {
      expect(offences(bannedCalls, 'packages/client/src/a.ts', `${call}\n`), call).toHaveLength(0)
    }
    expect(offences(bannedCalls, 'packages/client/test/a.test.ts', 'setTimeout(f, 1)\nconsole.log(1)\n')).toHaveLength(1)
    expect(offences(bannedCalls, 'packages/client/test/a.node.test.ts', 'setTimeout(f, 1)\n')).toHaveLength(0)
  })

  it('wants doors listed', () => {
    const text = "export * from './a.ts'\nexport type * from './b.ts'\n"
    expect(offences(listedDoors, 'packages/store/src/index.ts', text)).toHaveLength(1)
    expect(offences(listedDoors, 'packages/store/src/inner.ts', text)).toHaveLength(0)
  })

  it('finds focused and skipped tests', () => {
    const text = "it.only('x', f)\ndescribe.skip('y', f)\nit.skipIf(!java)('z', f)\nxit('q', f)\n"
    expect(offences(noFocusedTests, 'packages/store/test/a.test.ts', text)).toHaveLength(3)
  })

  it('wants strippable imports', () => {
    const text = "import { a, type B } from './b.ts'\nimport type { C } from './c'\nimport {\n  typeName,\n} from './d.ts'\n"
    expect(offences(strippable, 'packages/store/src/a.ts', text).map((line) => line.split(' ')[0])).toEqual([
      'packages/store/src/a.ts:1',
      'packages/store/src/a.ts:2',
    ])
  })

  it('finds silenced types', () => {
    expect(offences(typesAreTrue, 'packages/store/src/a.ts', 'const a: any = 1\nconst b = a as any\nconst company = many\n')).toHaveLength(
      2,
    )
    expect(offences(typesAreTrue, 'packages/store/test/a.ts', `// ${'@ts'}-ignore\n`)).toHaveLength(1)
  })

  it('knows what a package declares', () => {
    const rule = declaredImports(new Map([['store', new Set(['better-sqlite3'])]]))
    const text = "import a from 'better-sqlite3'\nconst b = await import('msgpackr/pack')\nimport c from 'node:zlib'\n"
    expect(offences(rule, 'packages/store/src/a.ts', text)).toHaveLength(1)
  })

  it('limits lengths, and lets long files only shrink', () => {
    const text = 'x\n'.repeat(501)
    expect(offences(lengths({}), 'packages/a/src/a.ts', text)).toHaveLength(1)
    expect(offences(lengths({}), 'packages/a/src/a.ts', 'x\n'.repeat(500))).toHaveLength(0)
    expect(offences(lengths({ 'packages/a/src/a.ts': 501 }), 'packages/a/src/a.ts', text)).toHaveLength(0)
    expect(offences(lengths({ 'packages/a/src/a.ts': 502 }), 'packages/a/src/a.ts', text)).toHaveLength(1)
  })

  it('finds circles of imports, types apart', () => {
    const circle = [
      sourceFile('packages/a/src/a.ts', "import { b } from './b.ts'\n"),
      sourceFile('packages/a/src/b.ts', "import { c } from './c.ts'\n"),
      sourceFile('packages/a/src/c.ts', "import { a } from './a.ts'\n"),
    ]
    expect(importCycles(circle)).toHaveLength(1)
    expect(importCycles([...circle.slice(0, 2), sourceFile('packages/a/src/c.ts', "import type { a } from './a.ts'\n")])).toEqual([])
  })

  it('misses tests', () => {
    expect(packagesWithoutTests([sourceFile('packages/a/src/a.ts', ''), sourceFile('packages/b/test/b.test.ts', '')])).toEqual(['a'])
  })
})
