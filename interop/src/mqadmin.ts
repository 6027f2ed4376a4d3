/** Apache's own mqadmin over a cluster: many commands in one JVM (java/Admin.java), and what of their output may be compared. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Cluster } from './clusters.ts'
import { compileJava, JAVA_FLAGS, jars, scratch } from './toolchains.ts'

const here = join(import.meta.dirname, '..')
const VERSION = '5.5.0'

export interface Step {
  readonly name: string
  /** exact: the same lines; shape: the same lines with every number taken for equal; later: ours says that it does not do it yet. */
  readonly kind: 'exact' | 'shape' | 'later' | 'dashboard'
  readonly words: readonly string[]
}

/** A quoted word is one argument, as in a shell. */
export function steps(file = 'mqadmin-steps.tsv'): readonly Step[] {
  const lines = readFileSync(join(here, file), 'utf8').trimEnd().split('\n').slice(1)
  return lines.map((line) => {
    const [name, kind, command] = line.split('\t') as [string, Step['kind'], string]
    return { name, kind, words: [...command.matchAll(/'([^']*)'|(\S+)/g)].map((m) => m[1] ?? (m[2] as string)) }
  })
}

/** Why it cannot run here, or undefined. */
export const adminMissing = (): string | undefined => {
  const found = jars(VERSION, 'servers')
  return 'missing' in found ? found.missing : undefined
}

/** One JVM with the tool. */
export class AdminShell {
  readonly #child: ChildProcess
  #output = ''
  #waiting: ((text: string) => void) | undefined

  constructor(namesrv: string, folder: string) {
    const found = jars(VERSION, 'servers')
    if ('missing' in found) throw new Error(found.missing)
    const classes = join(here, '.cache/classes-admin')
    const source = join(here, 'java/Admin.java')
    compileJava(found.folder, source, classes)
    const flags = ['-Xmx192m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Djava.security.manager=allow', `-Duser.home=${folder}`]
    const home = [`-Drocketmq.home.dir=${folder}`, '-Duser.timezone=UTC']
    const args = [...JAVA_FLAGS, ...flags, ...home, '-cp', `${classes}:${found.folder}/*`, 'Admin', namesrv]
    this.#child = spawn('java', args, { cwd: folder, stdio: ['pipe', 'pipe', 'ignore'] })
    this.#child.stdout?.on('data', (chunk: Buffer) => {
      this.#output += chunk.toString()
      const end = /\n\u0001(-?\d+)\n/.exec(this.#output)
      if (end === null) return
      const text = this.#output.slice(0, end.index)
      this.#output = this.#output.slice(end.index + end[0].length)
      this.#waiting?.(`${text}\n(exit ${end[1]})`)
    })
    this.#child.on('exit', (code) => this.#waiting?.(`the JVM ended with ${code}: ${this.#output}`))
  }

  run(words: readonly string[]): Promise<string> {
    return new Promise((resolve) => {
      this.#waiting = resolve
      this.#child.stdin?.write(`${words.join('\t')}\n`)
    })
  }

  stop(): void {
    this.#child.kill('SIGKILL')
  }
}

const TOPIC = { readQueueNums: 2, writeQueueNums: 2, topicFilterType: 'SINGLE_TAG', topicSysFlag: 0, order: false }
const LISTS = {
  'topics.json': [
    { ...TOPIC, topicName: 'MA_List1', perm: 6 },
    { ...TOPIC, topicName: 'MA_List2', perm: 4 },
  ],
  'groups.json': [
    { groupName: 'MA_GroupList1', retryMaxTimes: 3 },
    { groupName: 'MA_GroupList2', consumeEnable: false },
  ],
}

/** All steps, one after another; the output of each, with the values of this run replaced by their names. */
export async function runAll(
  cluster: Cluster & { readonly broker: string },
  all: readonly Step[] = steps(),
): Promise<ReadonlyMap<string, string>> {
  const folder = scratch('mqadmin')
  for (const [name, list] of Object.entries(LISTS)) writeFileSync(join(folder, name), JSON.stringify(list))
  const shell = new AdminShell(cluster.namesrv, folder)
  const values = new Map([
    ['NAMESRV', cluster.namesrv],
    ['BROKER', cluster.broker],
    ['DIR', folder],
    ['START', '2020-01-01#00:00:00:000'],
    ['END', '2100-01-01#00:00:00:000'],
  ])
  const outputs = new Map<string, string>()
  const raw = process.env['MQADMIN_RAW']
  try {
    // The tool's first words with a server take long while its classes are loaded.
    await runWithPatience(shell, ['clusterList', '-n', cluster.namesrv])
    for (const step of all) {
      // What ours does not do is asked of ours only.
      if (step.kind === 'later' && cluster.name !== 'skylarkmq') continue
      const fill = (word: string) =>
        word.replace(/\b(NAMESRV|BROKER|CLIENT|START|END|DIR|MSG\d+|OFFSET\d+)\b/g, (name) => values.get(name) ?? name)
      const began = performance.now()
      const output = await runWithPatience(shell, step.words.map(fill))
      if (step.name === '@story') learn(values, output)
      outputs.set(step.name, named(values, output))
      if (raw)
        writeFileSync(`${raw}-${cluster.name}.txt`, `##### ${step.name} ${Math.round(performance.now() - began)} ms\n${output}\n`, {
          flag: 'a',
        })
    }
  } finally {
    shell.stop()
  }
  return outputs
}

const TRIES = 4
const TOO_SLOW = /RemotingTimeoutException|RemotingConnectException|wait response on the channel/

/** The tool gives a server five seconds, its own start included: on a busy machine that is too little, and says nothing of either. */
async function runWithPatience(shell: AdminShell, words: readonly string[]): Promise<string> {
  for (let i = 1; ; i++) {
    const output = await shell.run(words)
    if (i === TRIES || words[0]?.startsWith('@') === true || !TOO_SLOW.test(output)) return output
  }
}

function learn(values: Map<string, string>, story: string): void {
  for (const [i, [, id, offsetId]] of [...story.matchAll(/^MSG (\w+) (\w+)$/gm)].entries()) {
    values.set(`MSG${i}`, id as string)
    values.set(`OFFSET${i}`, offsetId as string)
  }
  values.set('CLIENT', /^CLIENT (.*)$/m.exec(story)?.[1] ?? 'none')
}

/** The run's own values by name, so that two runs can be compared. */
function named(values: ReadonlyMap<string, string>, output: string): string {
  let text = output
  for (const [name, value] of [...values].sort((a, b) => b[1].length - a[1].length)) text = text.replaceAll(value, name)
  return text
    .replaceAll(/\b(?=\w*\d)(?:[0-9A-F]{56}|[0-9A-F]{32})\b/g, 'ID')
    .replaceAll(/\d{4}-\d\d-\d\d[ T#]\d\d:\d\d:\d\d([,.:]\d+)?/g, 'TIME')
    .replaceAll(/\b1[6-9]\d{11}\b/g, 'MS')
    .replaceAll(/127\.0\.0\.1:\d+/g, 'ADDRESS')
    .replaceAll(/@[0-9a-f]{6,8}\b|\$\$Lambda\S+/g, '@HASH')
    .replaceAll(/(spentTimeMills=|Consume TPS: )[\d.]+/g, '$1N')
    .replaceAll(/\/tmp\/\S+/g, 'PATH')
}

/**
 * Lines of the machinery and of the tool's own links; of topics that only one of both keeps its own records in; of a retry queue that
 * nothing was ever in: whether its consumer has committed 0 yet is a matter of moments.
 */
const NOISE = [
  /^\s+at /,
  /^\s+\.\.\. \d+ /,
  /^\d\d:\d\d:\d\d,\d{3} \|-/,
  /^(For more information,|See) .*https?:/,
  /RMQ_SYS_(ROCKSDB_)?TRANS_|rmq_sys_pop_in_flight/,
  /^%RETRY%MA_Online .* N\/A$/,
]

/** The lines that count, in an order of their own: Apache's tables come out of hash maps. */
export function comparable(step: Step, output: string): readonly string[] {
  const lines = output
    .split('\n')
    .map((line) => line.trimEnd())
    .filter((line) => line !== '' && !NOISE.some((noise) => noise.test(line)))
  if (step.kind === 'exact' || step.kind === 'dashboard') return [...lines].sort()
  return lines
    .map((line) =>
      line
        .replaceAll(/\d+(\.\d+)?/g, 'N')
        .replaceAll(/-?N(?: -?N)*\b/g, 'N')
        .replaceAll(/\s+/g, ' '),
    )
    .sort()
}

const REMARK = /^(.*\bCODE: \d+ {2}DESC: )(.*?)( BROKER: \S+)?$/

/** Where Apache prints a remark, ours begins with it, and goes on. */
export function withoutAdvice(mine: readonly string[], theirs: readonly string[]): readonly string[] {
  const known = theirs.flatMap((line) => {
    const found = REMARK.exec(line)
    return found === null ? [] : [[found[1] as string, (found[2] as string).replace(/\.$/, ''), line] as const]
  })
  return mine.map((line) => known.find(([head, beginning]) => line.startsWith(head + beginning))?.[2] ?? line).sort()
}

/** The names of a list of `key : value` or `key = value`. */
export const keysOf = (output: string): readonly string[] =>
  [...output.matchAll(/^(?:BROKER\s+|\s*)(\w+)\s*[:=]\s/gm)].map((found) => found[1] as string)
