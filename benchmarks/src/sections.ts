/** Parts of docs/performance.md that scripts of their own take: each is a JSON file in docs/performance, shown in this order. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { spread } from './outcome.ts'

export interface Section {
  readonly title: string
  readonly takenAt: string
  readonly command: string
  /** Versions and settings, a line each. */
  readonly environment: readonly string[]
  readonly text: string
  readonly headings: readonly string[]
  readonly rows: readonly (readonly string[])[]
  /** Every measurement, for whoever doubts a median. */
  readonly samples: unknown
}

const NAMES = ['profile', 'stalls', 'brokers-per-host', 'peers', 'client', 'isolation', 'soak'] as const
export type SectionName = (typeof NAMES)[number]

const DOCS = join(import.meta.dirname, '../../docs')
const FOLDER = join(DOCS, 'performance')
const PAGE = join(DOCS, 'performance.md')
const MARK = '<!-- parts with scripts of their own -->'

export const table = (headings: readonly string[], rows: readonly (readonly string[])[]): string =>
  [headings, headings.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')

export const machine = (): string => {
  const processor = existsSync('/proc/cpuinfo') ? /model name\s*:\s*(.*)/.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] : undefined
  return `${cpus().length} x ${processor ?? cpus()[0]?.model}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node.js ${process.version}`
}

/** All parts that have been taken, as Markdown; for the end of the page. */
export function sectionsText(): string {
  const parts = NAMES.flatMap((name) => {
    const file = join(FOLDER, `${name}.json`)
    return existsSync(file) ? [sectionText(JSON.parse(readFileSync(file, 'utf8')) as Section)] : []
  })
  return [MARK, ...parts].join('\n\n')
}

const sectionText = ({ title, takenAt, command, environment, text, headings, rows }: Section): string =>
  [
    `## ${title}`,
    text,
    table(headings, rows),
    [`Taken ${takenAt.slice(0, 16).replace('T', ' ')} by \`${command}\`.`, ...environment].map((line) => `- ${line}`).join('\n'),
  ].join('\n\n')

/** Prints the table; with `writes`, keeps it in docs/performance and in docs/performance.md. */
export function report(name: SectionName, section: Omit<Section, 'takenAt' | 'command'>, writes: boolean): void {
  const whole = {
    ...section,
    takenAt: new Date().toISOString(),
    command: commandLine(name),
    environment: [machine(), ...section.environment],
  }
  process.stdout.write(`\n${sectionText(whole)}\n`)
  if (!writes) {
    process.stdout.write(`\nNothing was written; --write keeps it in docs/performance/${name}.json and docs/performance.md\n`)
    return
  }
  mkdirSync(FOLDER, { recursive: true })
  writeFileSync(join(FOLDER, `${name}.json`), `${JSON.stringify(whole, null, 1)}\n`)
  const page = existsSync(PAGE) ? readFileSync(PAGE, 'utf8') : '# Performance\n'
  const before = page.includes(MARK) ? page.slice(0, page.indexOf(MARK)) : page
  writeFileSync(PAGE, `${before.trimEnd()}\n\n${sectionsText()}\n`)
  process.stdout.write(`\nWritten: docs/performance/${name}.json, docs/performance.md\n`)
}

const commandLine = (name: SectionName): string =>
  `node --conditions=source --import tsx benchmarks/${name}.ts ${process.argv.slice(2).join(' ')}`.trim()

/** `median (least to most)` */
export function shown(values: readonly number[], digits = 0): string {
  const { median, min, max } = spread(values)
  return `${figure(median, digits)} (${figure(min, digits)} to ${figure(max, digits)})`
}

export const figure = (value: number, digits = 0): string =>
  Number.isFinite(value) ? value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits }) : '-'

export const ratio = (a: readonly number[], b: readonly number[]): string => `x${figure(spread(a).median / spread(b).median, 2)}`
