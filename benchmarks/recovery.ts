/**
 * How long a store takes to open: of some gigabytes after a clean stop, after kill -9 under load, and with its views gone; and what
 * 10,000 queues cost in memory and at a start. Each line is a process of its own. Prints a Markdown table; with --write it goes into
 * docs/store.md.
 *
 *   node --conditions=source --import tsx benchmarks/recovery.ts [gigabytes, 10] [folder] [--write]
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { silentLog } from '@skylarkmq/runtime'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { openMessageStore } from '@skylarkmq/store'
import type { MessageStore, MessageToStore, StoreOptions } from '@skylarkmq/store'
import { machine } from './src/sections.ts'

const runtime = nodeRuntime({ log: silentLog })
const GIGA = 1024 ** 3
const PAGE = join(fileURLToPath(import.meta.url), '../../docs/store.md')
const BEGIN = '<!-- by benchmarks/recovery.ts -->'
const END = '<!-- until here -->'
const QUEUES = 10_000
const KILL_AFTER_BYTES = GIGA / 4
const body = Buffer.alloc(1024, 'x')
const host = new Uint8Array([127, 0, 0, 1, 0, 0, 0x2a, 0x9f])

const options = (rootDirectory: string): StoreOptions => ({
  rootDirectory,
  segmentBytes: GIGA,
  flush: 'async',
  maxMessageBytes: 4 * 1024 * 1024,
  delayLevelsMs: [1_000],
  fileReservedHours: 72,
  deleteWhenHours: [4],
})

let sequence = 0
function message(topic: string, queueId: number): MessageToStore {
  const id = (sequence++).toString(16).padStart(32, '0')
  const common = { flag: 0, sysFlag: 0, bornTimestamp: 1_700_000_000_000, bornHost: host, storeHost: host, reconsumeTimes: 0 }
  const properties = Buffer.from(`UNIQ_KEY\u0001${id}\u0002KEYS\u0001order-${sequence}\u0002TAGS\u0001TagA\u0002`)
  return { ...common, topic, queueId, preparedTransactionOffset: 0, body, properties }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const megabytes = (): number => Math.round(process.memoryUsage().rss / 1024 ** 2)
const say = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`)

async function fill(store: MessageStore, bytes: number, onTurn: () => void = () => {}): Promise<void> {
  const end = store.maxPhysicalOffset + bytes
  while (store.maxPhysicalOffset < end) {
    for (let i = 0; i < 64; i++) store.append(message('orders', sequence % 64), false, () => {})
    store.commitTurn()
    onTurn()
    await turn()
  }
}

/** The parts that run in a process of their own, by name. */
const PARTS: Record<string, (directory: string, argument: number) => Promise<void>> = {
  async fill(directory, gigabytes) {
    const store = await openMessageStore(runtime, options(directory))
    await fill(store, gigabytes * GIGA)
    await store.close()
    say({})
  },
  async open(directory) {
    const before = megabytes()
    const started = performance.now()
    const cpu = process.cpuUsage()
    const store = await openMessageStore(runtime, options(directory))
    const ms = Math.round(performance.now() - started)
    const { user, system } = process.cpuUsage(cpu)
    const { recordsChecked, checkedFrom, checkedTo, cleanStop } = store.recovery
    say({
      ms,
      cpuMs: Math.round((user + system) / 1000),
      recordsChecked,
      bytesChecked: checkedTo - checkedFrom,
      cleanStop,
      rss: megabytes(),
      before,
      end: checkedTo,
    })
    await store.close()
  },
  async append(directory) {
    const store = await openMessageStore(runtime, options(directory))
    const from = store.maxPhysicalOffset
    await fill(store, 100 * GIGA, () => {
      if (store.maxPhysicalOffset - from > KILL_AFTER_BYTES) process.kill(process.pid, 'SIGKILL')
    })
  },
  async queues(directory, perQueue) {
    const store = await openMessageStore(runtime, options(directory))
    const before = megabytes()
    for (let i = 0; i < QUEUES * perQueue; i++) {
      store.append(message(`topic-${i % 1000}`, Math.floor(i / 1000) % (QUEUES / 1000)), false, () => {})
      if (i % 64 === 63) {
        store.commitTurn()
        await turn()
      }
    }
    store.commitTurn()
    say({ before, rss: megabytes() })
    await store.close()
  },
}

type Figures = Record<string, number>

/** Runs one part; what it said last. A part that kills itself says nothing. */
function run(part: string, directory: string, argument = 0): Promise<Figures> {
  const self = fileURLToPath(import.meta.url)
  const child = spawn(process.execPath, ['--conditions=source', '--import', 'tsx', self, part, directory, String(argument)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
  return new Promise((resolve, reject) => {
    child.on('close', (code, signal) => {
      if (code === 0 || (part === 'append' && signal === 'SIGKILL')) resolve(JSON.parse(said || '{}') as Figures)
      else reject(new Error(`the part ${part} ended with ${code ?? signal}`))
    })
  })
}

const words = process.argv.slice(2).filter((word) => word !== '--write')
const [first = '10', second = tmpdir(), third = '0'] = words
const part = PARTS[first]
if (part !== undefined) await part(second, Number(third))
else await main(Number(first), second, process.argv.includes('--write'))

/** Puts the figures in the place of the last ones. */
function write(text: string): void {
  const page = readFileSync(PAGE, 'utf8')
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)]
  if (begin < 0 || end < begin) throw new Error(`${PAGE} has no place between "${BEGIN}" and "${END}"`)
  writeFileSync(PAGE, `${page.slice(0, begin + BEGIN.length)}\n\n${text}\n${page.slice(end)}`)
  process.stderr.write(`Written: ${PAGE}\n`)
}

async function main(gigabytes: number, parent: string, writes: boolean): Promise<void> {
  const folder = mkdtempSync(join(parent, 'skylark-recovery-'))
  const rows: string[] = []
  const row = (what: string, { ms = 0, cpuMs = 0, recordsChecked = 0, bytesChecked = 0, rss = 0 }: Figures): void => {
    rows.push(
      `| ${what} | ${(ms / 1000).toFixed(2)} s | ${(cpuMs / 1000).toFixed(2)} s | ${recordsChecked} (${(bytesChecked / 1024 ** 2).toFixed(1)} MiB) | ${rss} MiB |`,
    )
    process.stderr.write(`${rows.at(-1)}\n`)
  }
  try {
    const log = join(folder, 'log')
    await run('fill', log, gigabytes)
    row(`${gigabytes} GB, clean stop`, await run('open', log))
    for (let i = 0; i < 3; i++) {
      await run('append', log)
      row(`${gigabytes} GB, kill -9 while writing`, await run('open', log))
    }
    rmSync(join(log, 'skylark/views'), { recursive: true })
    row(`${gigabytes} GB, views deleted: all derived anew`, await run('open', log))
    rmSync(log, { recursive: true })

    const many = join(folder, 'many')
    const { before = 0, rss = 0 } = await run('queues', many, 20)
    row(`${QUEUES} queues of 20 messages, clean stop`, await run('open', many))
    const text = `Messages of 1 KiB with two keys; each crash wrote 256 MiB more. The line "derived anew" is what a start costs that must read everything.

| store | opens in | of it CPU | records read | memory (RSS) |
|---|---|---|---|---|
${rows.join('\n')}

Writing to ${QUEUES} queues takes the process from ${before} to ${rss} MiB.

- Taken ${new Date().toISOString().slice(0, 16).replace('T', ' ')} by \`node --conditions=source --import tsx benchmarks/recovery.ts ${gigabytes}\`.
- ${machine()}
`
    process.stdout.write(text)
    if (writes) write(text)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
