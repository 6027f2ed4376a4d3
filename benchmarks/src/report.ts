/** Tables and plots of a run. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import type { Sample } from './measure.ts'
import { missesSection } from './misses.ts'
import type { Outcome, Spread } from './outcome.ts'
import { of, ratiosOf, spread, verdicts } from './outcome.ts'
import type { Scenario } from './scenarios.ts'
import { sectionsText, table } from './sections.ts'
import { APACHE_VERSION, COMMON_CONFIG, JAVA_HEAP } from './servers.ts'

export interface StartUpOutcome {
  readonly takenAt: string
  readonly firstMs: { readonly ours: readonly number[]; readonly apache: readonly number[] }
  readonly idleMib: { readonly ours: readonly number[]; readonly apache: readonly number[] }
}

const whole = (value: number): string => (Number.isFinite(value) ? Math.round(value).toLocaleString('en') : '-')
const fixed = (value: number, digits: number): string => (Number.isFinite(value) ? value.toFixed(digits) : '-')
const ranged = ({ median, min, max }: Spread, show: (value: number) => string): string => `${show(median)} (${show(min)} to ${show(max)})`
const digitsFor = (ms: number): string => fixed(ms, ms < 10 ? 2 : 0)

export const HEADINGS = [
  'scenario',
  'ours msg/s',
  'Apache msg/s',
  'rate',
  'ours CPU s per million',
  'Apache CPU s per million',
  'per CPU-second',
  'generator CPU s per million, ours / Apache',
  'p99 ms, ours / Apache',
  'refused, ours / Apache',
  'RSS MiB, ours / Apache',
  'target',
]

function p99(outcome: Outcome): string {
  const both = (field: 'p99Ms' | 'averageMs') =>
    `${digitsFor(of(outcome, 'ours', field).median)} / ${digitsFor(of(outcome, 'apache', field).median)}`
  return Number.isFinite(of(outcome, 'ours', 'averageMs').median) ? `on average ${both('averageMs')}` : both('p99Ms')
}

export function row(scenario: Scenario, outcome: Outcome): string[] {
  const ratios = ratiosOf(outcome)
  const seconds = (side: 'ours' | 'apache') => ranged(of(outcome, side, 'cpuSecondsPerMillion'), (value) => fixed(value, 1))
  const generator = (side: 'ours' | 'apache') => fixed(of(outcome, side, 'generatorCpuSecondsPerMillion').median, 1)
  const percent = (side: 'ours' | 'apache') => `${fixed(of(outcome, side, 'refusedPart').median * 100, 1)} %`
  const goals = verdicts(scenario, outcome).map(({ text, isMet }) => `${text}: ${isMet ? 'met' : '**missed**'}`)
  return [
    scenario.title,
    ranged(of(outcome, 'ours', 'perSecond'), whole),
    ranged(of(outcome, 'apache', 'perSecond'), whole),
    `x${fixed(ratios.rate, 2)}`,
    seconds('ours'),
    seconds('apache'),
    `x${fixed(ratios.perCpuSecond, 1)}`,
    `${generator('ours')} / ${generator('apache')}`,
    p99(outcome),
    `${percent('ours')} / ${percent('apache')}`,
    `${whole(of(outcome, 'ours', 'residentMib').max)} / ${whole(of(outcome, 'apache', 'residentMib').max)}`,
    [...goals, ...(scenario.target.text ? [scenario.target.text] : [])].join('; '),
  ]
}

export const LATENCY_HEADINGS = [
  'scenario',
  'ours p50 / p99 / p999 ms',
  'Apache p50 / p99 / p999 ms',
  'a server that only answers p50 / p99 / p999 ms',
  'the generator sent late by (p99) ms: ours, Apache, only answers',
]

/** Of an open loop. */
export function latencyRow(scenario: Scenario, { samples, floor = [] }: Outcome): string[] {
  const all = [samples.ours, samples.apache, floor]
  const median = (side: readonly Sample[], field: 'p50Ms' | 'p99Ms' | 'p999Ms' | 'lateP99Ms') =>
    digitsFor(spread(side.map((sample) => sample[field] ?? Number.NaN)).median)
  const shown = (side: readonly Sample[], texts: () => string) => (side.length === 0 ? '–' : texts())
  const latencies = all.map((side) =>
    shown(side, () => (['p50Ms', 'p99Ms', 'p999Ms'] as const).map((field) => median(side, field)).join(' / ')),
  )
  return [scenario.title, ...latencies, all.map((side) => shown(side, () => median(side, 'lateP99Ms'))).join(', ')]
}

export interface Bar {
  readonly label: string
  readonly value: number
  readonly target: number | undefined
}

/** Horizontal bars of ratios, on a logarithmic scale from 0.5; a tick marks the target, a line marks 1. */
export function ratioBars(title: string, bars: readonly Bar[]): string {
  const left = 330
  const width = 420
  const top = 40
  const rowHeight = 22
  const most = Math.max(2, ...bars.map((bar) => Math.max(bar.value, bar.target ?? 0)).filter((value) => Number.isFinite(value)))
  const x = (value: number) => left + (Math.log2(Math.max(0.5, value) / 0.5) / Math.log2((most * 1.1) / 0.5)) * width
  const height = top + bars.length * rowHeight + 20
  const text = (value: string) => value.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  const lines = bars.flatMap(({ label, value, target }, i) => {
    if (!Number.isFinite(value)) return []
    const y = top + i * rowHeight
    const isMet = target === undefined || value >= target
    return [
      `<text x="${left - 8}" y="${y + 14}" text-anchor="end">${text(label)}</text>`,
      `<rect x="${left}" y="${y + 3}" width="${fixed(x(value) - left, 1)}" height="15" fill="${isMet ? '#2b7a78' : '#c8772e'}"/>`,
      `<text x="${fixed(x(value) + 5, 1)}" y="${y + 14}">${fixed(value, 1)}</text>`,
      ...(target === undefined ? [] : [`<path d="M${fixed(x(target), 1)} ${y + 1}v19" stroke="#111" stroke-width="2"/>`]),
    ]
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${left + width + 60} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="100%" height="100%" fill="#fff"/>`,
    `<text x="12" y="22" font-size="15">${text(title)}</text>`,
    ...lines,
    `<path d="M${fixed(x(1), 1)} ${top}V${height - 18}" stroke="#888" stroke-dasharray="3 3"/>`,
    `<text x="${fixed(x(1), 1)}" y="${height - 5}" text-anchor="middle" fill="#555">1</text>`,
    '</svg>\n',
  ].join('\n')
}

const firstLine = (command: string, ...args: string[]): string => {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).split('\n')[0] ?? ''
  } catch {
    return 'unknown'
  }
}

function java(): string {
  try {
    return /openjdk [^\n]*/.exec(execFileSync('java', ['--version'], { encoding: 'utf8' }))?.[0] ?? 'unknown'
  } catch {
    return 'unknown'
  }
}

export const commit = (): string => firstLine('git', 'rev-parse', '--short', 'HEAD')

function latencyTable(outcomes: readonly { readonly scenario: Scenario; readonly outcome: Outcome }[]): string[] {
  const rows = outcomes.filter(({ scenario }) => scenario.rate > 0).map(({ scenario, outcome }) => latencyRow(scenario, outcome))
  if (rows.length === 0) return []
  return [
    '## Latency',
    'Of the open loop it counts from the millisecond when a message was due, so that whatever makes the generator late counts as well; end to end from the send, and of delayed messages from the moment when they are due, to the arrival of the pull that brings the message. The server that only answers checks nothing, keeps nothing and was loaded in turns with the brokers: what is late there is the generator, Node and the scheduler of this machine, not a broker.',
    '',
    table(LATENCY_HEADINGS, rows),
    '',
  ]
}

/** Rows are kept until they are taken again: which were taken together. */
function runs(outcomes: readonly { readonly scenario: Scenario; readonly outcome: Outcome }[]): string[] {
  const all = [...new Set(outcomes.map(({ outcome }) => outcome.run ?? 'not known'))]
  if (all.length === 1) return [`- Run: ${all[0]}`]
  return all.map((run) => {
    const names = outcomes.filter(({ outcome }) => (outcome.run ?? 'not known') === run).map(({ scenario }) => scenario.name)
    return `- Run of ${names.join(', ')}: ${run}`
  })
}

export function document(
  outcomes: readonly { readonly scenario: Scenario; readonly outcome: Outcome }[],
  startUp: StartUpOutcome | undefined,
): string {
  const processor = /model name\s*:\s*(.*)/.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? cpus()[0]?.model
  const parts = [
    '# Performance beside Apache RocketMQ',
    'Written by `npm run bench -- --write`; do not edit. Both brokers ran on the same machine in the same run, were loaded in turns by the same generator with equal idle gaps, and acknowledged with the same durability. Before each turn all dirty pages are written, and the other broker stands still while it lasts (SIGSTOP), so that nobody pays for the other’s threads and writes. On few cores the generator competes with the broker, so **messages per CPU-second of the broker** decide; CPU is the user and system time of all threads of the broker, from `/proc/PID/stat`. Each figure is the median of the rounds with its range.',
    `- Machine: ${cpus().length} x ${processor}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}`,
    `- SkylarkMQ, Node.js ${process.version}; Apache RocketMQ ${APACHE_VERSION}, ${java()}, \`${JAVA_HEAP.join(' ')}\``,
    `- Both: ${Object.entries(COMMON_CONFIG)
      .map(([key, value]) => `${key}=${value}`)
      .join(', ')}; all else default`,
    ...runs(outcomes),
    '',
    '## Ratios',
    '![messages per CPU-second of the broker](performance/per-cpu-second.svg)',
    '![messages per second](performance/rate.svg)',
    '',
    '## Table',
    table(
      HEADINGS,
      outcomes.map(({ scenario, outcome }) => row(scenario, outcome)),
    ),
    '',
    ...missesSection(outcomes),
    ...latencyTable(outcomes),
    'A guest may give free memory back to its host, and a page taken anew then costs ten times as much (1.5 and 15 µs where `benchmarks/cold-pages.ts` was written), which is 4 µs of a message of 1 KiB, whoever stores it. So before each turn, of either broker, as many pages as it writes are made warm, and freed while it lasts (`benchmarks/src/warm-pages.ts`).',
    '',
    'Pulls of old data come from the kernel page cache on both sides: the cache cannot be dropped where this ran. "Old" means older than the 16 MiB that our broker keeps at hand. Apache’s own benchmark producer is a fresh JVM in each round: it sends for 10 s before it counts.',
  ]
  if (startUp !== undefined) {
    const { firstMs, idleMib } = startUp
    const [a, b] = [spreadOf(firstMs.ours), spreadOf(firstMs.apache)]
    const [c, d] = [spreadOf(idleMib.ours), spreadOf(idleMib.apache)]
    parts.push(
      '',
      '## Start and memory',
      table(
        ['', 'ours', 'Apache', 'ratio', 'target'],
        [
          [
            'NameServer and broker started to first stored message, ms',
            ranged(a, whole),
            ranged(b, whole),
            `1/${fixed(b.median / a.median, 0)}`,
            '1/25',
          ],
          ['broker RSS idle, MiB', ranged(c, whole), ranged(d, whole), `1/${fixed(d.median / c.median, 1)}`, '1/8'],
        ],
      ),
    )
  }
  return `${parts.join('\n')}\n\n${sectionsText()}\n`
}

const spreadOf = (values: readonly number[]): Spread => {
  const sorted = [...values].sort((a, b) => a - b)
  return { median: sorted[sorted.length >> 1] as number, min: sorted[0] as number, max: sorted.at(-1) as number }
}
