/**
 * Writes docs/compatibility.md from a run of the matrix: `INTEROP_TABLE=1 npx vitest run --project interop interop/matrix`. A run of some
 * stories only (`-t name`) writes these and leaves what the page says of the others.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Reporter, TestCase, TestModule } from 'vitest/node'

const PAGE = join(import.meta.dirname, '../../docs/compatibility.md')
const SKIPPED = / \(skipped: (.*)\)$/s

const HEAD = `# What works with which client

Written by the test run itself, do not edit: \`INTEROP_TABLE=1 npx vitest run --project interop interop/matrix\`. Each row is a story in
[interop/src](../interop/src/features.ts); each column an unmodified client that lived it: as a producer and as a consumer, in a process of its own.

✓ passed · ✗ failed · – not run, for the reason below the table
`

interface Table {
  readonly clients: string[]
  readonly features: string[]
  readonly results: Map<string, string>
  readonly notes: Map<string, string[]>
}

/** What the page says now, by `title\nfeature\nclient`. */
function marksOf(page: string): Map<string, string> {
  const marks = new Map<string, string>()
  let title = ''
  let clients: string[] = []
  for (const line of page.split('\n')) {
    if (line.startsWith('## ')) title = line.slice(3)
    else if (line.startsWith('| | ')) clients = cellsOf(line).slice(1)
    else if (line.startsWith('| ')) {
      const [feature = '', ...row] = cellsOf(line)
      row.forEach((mark, i) => marks.set(`${title}\n${feature}\n${clients[i]}`, mark))
    }
  }
  return marks
}

const cellsOf = (line: string): string[] => line.split(/(?<!\\)\|/).slice(1, -1).map((text) => text.trim().replaceAll('\\|', '|')) // biome-ignore format: one thought
const titled = (on: string): string => `${on[0]?.toUpperCase()}${on.slice(1)}`

function tablesOf(module: TestModule, before: ReadonlyMap<string, string>): Map<string, Table> {
  const tables = new Map<string, Table>()
  for (const test of module.children.allTests()) {
    const names = pathOf(test)
    if (names.length < 3) continue
    const [title = '', client = '', ...rest] = names
    const on = title.replace(SKIPPED, '')
    let table = tables.get(on)
    if (!table) tables.set(on, (table = { clients: [], features: [], results: new Map(), notes: new Map() }))
    const name = rest.join(': ')
    const feature = name.replace(SKIPPED, '')
    if (!table.clients.includes(client)) table.clients.push(client)
    if (!table.features.includes(feature)) table.features.push(feature)
    const { state } = test.result()
    const reason = SKIPPED.exec(name)?.[1] ?? SKIPPED.exec(title)?.[1]
    const old = reason === undefined ? before.get(`${titled(on)}\n${feature}\n${client}`) : undefined
    table.results.set(`${feature}\n${client}`, state === 'passed' ? '✓' : state === 'failed' ? '✗' : (old ?? '–'))
    if (state === 'skipped' && reason)
      table.notes.set(`${client}: ${reason}`, [...(table.notes.get(`${client}: ${reason}`) ?? []), feature])
  }
  return tables
}

function pathOf(test: TestCase): string[] {
  const names = [test.name]
  for (let { parent } = test; parent.type === 'suite'; parent = parent.parent) names.unshift(parent.name)
  return names
}

const cell = (text: string): string => text.replaceAll('|', '\\|')

function markdown(on: string, { clients, features, results, notes }: Table): string {
  const lines = [
    `## ${on[0]?.toUpperCase()}${on.slice(1)}`,
    '',
    `| | ${clients.join(' | ')} |`,
    `|---|${clients.map(() => ':-:|').join('')}`,
  ]
  for (const feature of features) {
    const row = clients.map((client) => results.get(`${feature}\n${client}`) ?? '–')
    lines.push(`| ${cell(feature)} | ${row.join(' | ')} |`)
  }
  if (notes.size > 0) lines.push('')
  for (const [note, skipped] of notes)
    lines.push(`- ${note}${skipped.length === features.length ? '' : ` (${skipped.length} of ${features.length} rows)`}`)
  return lines.join('\n')
}

export default class CompatibilityReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const before = marksOf(existsSync(PAGE) ? readFileSync(PAGE, 'utf8') : '')
    for (const module of modules) {
      if (!module.moduleId.endsWith('interop/matrix.test.ts')) continue
      const tables = [...tablesOf(module, before)].map(([on, table]) => markdown(on, table))
      if (tables.length > 0) writeFileSync(PAGE, `${HEAD}\n${tables.join('\n\n')}\n`)
    }
  }
}
