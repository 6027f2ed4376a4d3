import { posix } from 'node:path'
import { BANS, DOORS, DRAIN, EXPORT_ALL, INNER_WALLS, isOuterPlace, LINES_MAX, MAY_IMPORT, OUTER_MODULES } from './house.ts'
import type { SourceFile } from './source.ts'

/** One broken rule, as a line to read. */
export interface Offence {
  readonly rule: string
  readonly path: string
  readonly line: number
  readonly shown: string
  readonly reason: string
}

export type Rule = (file: SourceFile) => Offence[]

export const formatOffence = ({ rule, path, line, shown, reason }: Offence): string =>
  `${path}:${line}  [${rule}] ${shown.trim()}\n    ${reason}`

const offence = (file: SourceFile, rule: string, line: number, reason: string): Offence => ({
  rule,
  path: file.path,
  line,
  shown: file.text.split('\n')[line - 1] ?? '',
  reason,
})

/** Every match of a pattern in the code (or another text of equal lines). */
const matches = (file: SourceFile, pattern: RegExp, text = file.code): number[] =>
  text.split('\n').flatMap((line, index) => (pattern.test(line) ? [index + 1] : []))

const packageOf = (path: string): string | undefined => /^packages\/([^/]+)\//.exec(path)?.[1]
const isSource = (path: string): boolean => /^packages\/[^/]+\/(src|bin)\//.test(path) || path.startsWith('simulator/src/')
const isTest = (path: string): boolean => /^packages\/[^/]+\/test\//.test(path) || /^tidy\/.*\.test\.ts$/.test(path)
const isUnitTest = (path: string): boolean => isTest(path) && !/\.node\.(test\.)?ts$/.test(path)

export const importDirections: Rule = (file) => {
  const own = packageOf(file.path)
  if (own === undefined) return []
  return file.imports.flatMap(({ specifier, line }) => {
    const say = (reason: string): Offence[] => [offence(file, 'import-direction', line, reason)]
    if (specifier.startsWith('.')) {
      const target = posix.join(posix.dirname(file.path), specifier)
      if (isTest(file.path) && target.startsWith('scripts/')) return []
      if (packageOf(target) !== own)
        return say(`leaves its package: import ${packageOf(target) ?? 'it'} by its door, @skylarkmq/${packageOf(target) ?? '…'}`)
      const wall = INNER_WALLS.find(([from, to]) => file.path.startsWith(from) && target.startsWith(to))
      return wall ? say(wall[2]) : []
    }
    if (!specifier.startsWith('@skylarkmq/')) return []
    if (DOORS[specifier] === undefined) return say(`no door of that name; there are ${Object.keys(DOORS).join(', ')}`)
    if (!isSource(file.path) || (own !== 'runtime' && file.path.includes('/bin/'))) return []
    const allowed = MAY_IMPORT[own]
    if (allowed === undefined) return say(`package '${own}' is not in the table of tidy/house.ts: say there what it may import`)
    if (allowed.includes(specifier)) return []
    return say(`'${own}' may import ${allowed.join(', ') || 'nothing of ours'}: parts meet through what is handed in, or over a network`)
  })
}

export const outerModules: Rule = (file) => {
  if (!isSource(file.path) || isOuterPlace(file.path)) return []
  return file.imports.flatMap(({ specifier, line, isTypeOnly }) => {
    const name = specifier.startsWith('node:') ? specifier : `node:${specifier}`
    const instead = OUTER_MODULES[name]
    if (instead === undefined || isTypeOnly) return []
    return [offence(file, 'outside-world', line, `${name} is the outside world; use ${instead}, so that the simulator can stand in for it`)]
  })
}

export const bannedCalls: Rule = (file) => {
  const inTests = isUnitTest(file.path)
  if (!inTests && (!isSource(file.path) || isOuterPlace(file.path))) return []
  if (file.path === DRAIN || file.path.startsWith('tidy/')) return []
  return BANS.filter((ban) => !inTests || ban.inTests).flatMap((ban) =>
    matches(file, ban.pattern).map((line) => offence(file, 'ambient-call', line, `${ban.name} is ambient; use ${ban.instead}`)),
  )
}

export const listedDoors: Rule = (file) => {
  if (!Object.values(DOORS).includes(file.path)) return []
  return matches(file, EXPORT_ALL).map((line) =>
    offence(file, 'listed-door', line, 'a door lists its names, so that a reader sees what is public'),
  )
}

export const noFocusedTests: Rule = (file) => {
  if (!/\.test\.ts$/.test(file.path)) return []
  const pattern = /(?<![.\w])(?:(?:it|test|describe|suite)\.(?:concurrent\.)?(?:only|skip|todo)\b|(?:fit|fdescribe|xit|xtest|xdescribe)\()/
  const reason = 'a test runs or is deleted; what a machine lacks is asked for by name with skipIf'
  return matches(file, pattern).map((line) => offence(file, 'no-focused-tests', line, reason))
}

export const strippable: Rule = (file) => {
  if (!/\.m?ts$/.test(file.path)) return []
  const found: Offence[] = []
  for (const match of file.code.matchAll(/(?:^|\n)[ \t]*(?:import|export)\s*\{([^}]*)\}/g)) {
    if (!/(?:^|[,\s])type\s+\w/.test(match[1] as string)) continue
    const line = file.code.slice(0, (match.index as number) + match[0].length).split('\n').length
    found.push(
      offence(
        file,
        'import-type-line',
        line,
        '`import type { X }` on its own line: `import { type X }` still loads the module when types are stripped',
      ),
    )
  }
  for (const { specifier, line } of file.imports) {
    if (specifier.startsWith('.') && !/\.(ts|mts|mjs|cjs|json)$/.test(specifier)) {
      found.push(offence(file, 'import-extension', line, 'relative imports end in .ts: the sources run as they are'))
    }
  }
  return found
}

export const typesAreTrue: Rule = (file) => [
  ...matches(file, /@ts-(ignore|nocheck)\b/, file.path.startsWith('tidy/') ? '' : file.text).map((line) =>
    offence(file, 'no-ts-ignore', line, 'fix the type, or say @ts-expect-error with a reason'),
  ),
  ...(isSource(file.path) ? matches(file, /(?::\s*any\b|\bas any\b|<any>|\bany\[\])/) : []).map((line) =>
    offence(file, 'no-any', line, 'unknown and a check, or the real type'),
  ),
]

/** The imports that must be there at run time, against the package's own package.json. */
export const declaredImports =
  (declared: ReadonlyMap<string, ReadonlySet<string>>): Rule =>
  (file) => {
    const own = packageOf(file.path)
    if (own === undefined || !isSource(file.path)) return []
    return file.imports.flatMap(({ specifier, line }) => {
      if (specifier.startsWith('.') || specifier.startsWith('node:') || specifier.startsWith('#')) return []
      const name = specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/')
      if (name === `@skylarkmq/${own}` || declared.get(own)?.has(name)) return []
      return [
        offence(file, 'declared-imports', line, `packages/${own}/package.json does not name ${name}: it would be missing once published`),
      ]
    })
  }

/** `ratchet` has today's length of files over the limit: they may shrink, not grow. */
export const lengths =
  (ratchet: Readonly<Record<string, number>>): Rule =>
  (file) => {
    const count = file.text.split('\n').length - 1
    const limit = ratchet[file.path] ?? LINES_MAX
    if (count > limit)
      return [offence(file, 'length', count, `${count} lines; the limit is ${limit}: find the second thing in it and give that a file`)]
    if (ratchet[file.path] !== undefined && count < limit) {
      return [
        offence(
          file,
          'length',
          count,
          `${count} lines, and tidy/known.ts still allows ${limit}: write ${count <= LINES_MAX ? 'it off' : count} there`,
        ),
      ]
    }
    return []
  }

/** Files that import each other in a circle (types do not count: they leave no trace; neither do lazy imports). */
export const importCycles = (files: readonly SourceFile[]): string[][] => {
  const known = new Set(files.map(({ path }) => path))
  const targets = new Map<string, string[]>()
  for (const { path, imports } of files) {
    const near = imports.filter(({ specifier, isTypeOnly, isLazy }) => specifier.startsWith('.') && !isTypeOnly && !isLazy)
    targets.set(
      path,
      near.map(({ specifier }) => posix.join(posix.dirname(path), specifier)).filter((target) => known.has(target)),
    )
  }
  const cycles: string[][] = []
  const done = new Set<string>()
  const visit = (path: string, trail: string[]): void => {
    const start = trail.indexOf(path)
    if (start >= 0) cycles.push([...trail.slice(start), path])
    if (start >= 0 || done.has(path)) return
    for (const target of targets.get(path) ?? []) visit(target, [...trail, path])
    done.add(path)
  }
  for (const path of targets.keys()) visit(path, [])
  return cycles
}

export const packagesWithoutTests = (files: readonly SourceFile[]): string[] => {
  const packages = new Set(files.map(({ path }) => packageOf(path)).filter((name) => name !== undefined))
  return [...packages].filter((name) => !files.some(({ path }) => path.startsWith(`packages/${name}/test/`) && path.endsWith('.test.ts')))
}
