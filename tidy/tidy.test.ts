import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { DOORS, MAY_IMPORT } from './house.ts'
import { KNOWN_OFFENCES, LONG_FILES } from './known.ts'
import type { Offence, Rule } from './rules.ts'
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
import { readSources } from './source.ts'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const files = readSources(root)

interface Manifest {
  readonly dependencies?: Record<string, string>
  readonly peerDependencies?: Record<string, string>
  readonly optionalDependencies?: Record<string, string>
  readonly exports?: Record<string, { readonly source?: string }>
}

const packages = readdirSync(join(root, 'packages')).sort()
const manifests = new Map<string, Manifest>(
  packages.map((name) => [name, JSON.parse(readFileSync(join(root, 'packages', name, 'package.json'), 'utf8')) as Manifest]),
)
const declared = new Map(
  [...manifests].map(([name, manifest]) => {
    const named = { ...manifest.dependencies, ...manifest.peerDependencies, ...manifest.optionalDependencies }
    return [name, new Set(Object.keys(named))] as const
  }),
)

const key = ({ rule, path }: Offence): string => `${rule} ${path}`

const RULES: readonly (readonly [title: string, rule: Rule])[] = [
  ['imports run only down the table of ARCHITECTURE.md, and through doors', importDirections],
  ['only runtime/src/node, bins and standalone import the outside world', outerModules],
  ['nobody else reads the clock, draws chance, prints or asks the process', bannedCalls],
  ['doors list their names', listedDoors],
  ['no test is focused or skipped', noFocusedTests],
  ['sources run when their types are stripped', strippable],
  ['types are not silenced', typesAreTrue],
  ['packages import only what they declare', declaredImports(declared)],
  ['files stay short enough to read', lengths(LONG_FILES)],
]

describe('the house rules', () => {
  it('sees the repository', () => {
    expect(files.length).toBeGreaterThan(100)
  })

  for (const [title, rule] of RULES) {
    it(title, () => {
      const offences = files.flatMap(rule).filter((found) => KNOWN_OFFENCES[key(found)] === undefined)
      expect(offences.map(formatOffence).join('\n')).toBe('')
    })
  }

  it('forgives nothing that has been mended', () => {
    const found = new Set(RULES.flatMap(([, rule]) => files.flatMap(rule)).map(key))
    expect(Object.keys(KNOWN_OFFENCES).filter((entry) => !found.has(entry))).toEqual([])
    expect(Object.keys(LONG_FILES).filter((path) => !files.some((file) => file.path === path))).toEqual([])
  })

  it('has no files that import each other in a circle', () => {
    expect(importCycles(files).map((cycle) => cycle.join('\n  -> '))).toEqual([])
  })

  it('has tests in every package', () => {
    expect(packagesWithoutTests(files)).toEqual([])
  })

  it('has a row in the table for every package, and a door for every export', () => {
    expect(Object.keys(MAY_IMPORT).sort()).toEqual(packages)
    const exported = [...manifests].flatMap(([name, { exports = {} }]) =>
      Object.entries(exports)
        .filter(([, target]) => target.source !== undefined)
        .map(([door, target]) => [`@skylarkmq/${name}${door.slice(1)}`, join('packages', name, target.source as string)]),
    )
    expect(Object.fromEntries(exported)).toEqual(DOORS)
  })
})
