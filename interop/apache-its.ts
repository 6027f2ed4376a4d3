/**
 * Apache's own integration tests (rocketmq-test, from Maven Central) against our servers. By hand, not part of the CI:
 *
 *     npm run build && node --conditions=source --import tsx interop/apache-its.ts [--on-apache] [ClassName …]
 *
 * Each class gets a JVM and a cluster of its own: the classes of `java/apache-its` lie before Apache's jar and start ours where Apache's
 * base class starts its own. `--on-apache` leaves them out: for telling whose fault a failure is.
 */
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { JAVA_FLAGS, newerThan, scratch } from './src/toolchains.ts'

const VERSION = '5.5.0'
const CLASS_LIMIT_MS = 20 * 60_000
const here = import.meta.dirname
const jars = join(here, `.cache/apache-its-${VERSION}`)
const sources = join(here, 'java/apache-its')
const base = join(sources, 'org/apache/rocketmq/test/base')

/** Beginnings of class names below org.apache.rocketmq.test, and why they are left out. */
const NOT_APPLICABLE = {
  'autoswitchrole.': 'brokers of a controller, in the process of the test',
  'container.': 'a broker container with replicas, in the process of the test',
  'dledger.': 'DLedger, in the process of the test',
  'grpc.v2.LocalGrpcIT': 'a proxy that shares its process with an Apache broker',
  'grpc.v2.GrpcBaseIT': 'a base class',
  'lmq.': 'the client is a mock: nothing goes over the wire',
  'schema.': 'compares classes of Apache with a file: nothing goes over the wire',
  'statictopic.': 'static topics are refused by name',
}

function fetchJars(): void {
  if (existsSync(join(jars, `rocketmq-test-${VERSION}-tests.jar`))) return
  const args = ['-q', '-B', '-f', join(sources, 'pom.xml'), `-Drocketmq.version=${VERSION}`]
  execFileSync('mvn', [...args, 'dependency:copy-dependencies', `-DoutputDirectory=${jars}`], { stdio: 'inherit' })
}

/** The class path of the runner, and of what stands in for Apache's base classes. */
function compile(): { readonly runner: string; readonly standIns: string } {
  const runner = join(here, '.cache/classes-its-runner')
  const standIns = join(here, '.cache/classes-its')
  const files = readdirSync(base).map((name) => join(base, name))
  const javac = (folder: string, inputs: readonly string[]): void => {
    mkdirSync(folder, { recursive: true })
    execFileSync('javac', ['-nowarn', '-XDignore.symbol.file', '-cp', `${jars}/*`, '-d', folder, ...inputs], { stdio: 'inherit' })
  }
  if (!newerThan(join(runner, 'ItsRun.class'), join(sources, 'ItsRun.java'))) javac(runner, [join(sources, 'ItsRun.java')])
  if (!files.every((file) => newerThan(join(standIns, 'org/apache/rocketmq/test/base/BaseConf.class'), file))) javac(standIns, files)
  return { runner, standIns }
}

function testClasses(): string[] {
  const listed = execFileSync('jar', ['tf', join(jars, `rocketmq-test-${VERSION}-tests.jar`)], { encoding: 'utf8' })
  return listed
    .split('\n')
    .filter((name) => /(?:IT|Test)\.class$/.test(name) && !name.includes('$'))
    .map((name) => name.replace(/\.class$/, '').replaceAll('/', '.'))
    .sort()
}

interface Outcome {
  ok: number
  notRun: number
  readonly failed: string[]
  readonly whys: string[]
}

async function run(name: string, classPath: string): Promise<Outcome> {
  const home = scratch('its')
  const outcome: Outcome = { ok: 0, notRun: 0, failed: [], whys: [] }
  const properties = { 'user.home': home, 'java.io.tmpdir': home, 'its.home': join(home, 'cluster'), 'skylark.home': join(here, '..') }
  const flags = Object.entries({ ...properties, 'rocketmq.client.logRoot': join(home, 'logs') }).map(([key, value]) => `-D${key}=${value}`)
  const child = spawn('java', [...JAVA_FLAGS, '-Xmx1500m', '-XX:MaxDirectMemorySize=512m', ...flags, '-cp', classPath, 'ItsRun', name], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const exited = new Promise((resolve) => child.once('exit', resolve))
  const limit = setTimeout(() => child.kill(), CLASS_LIMIT_MS)
  let isDone = false
  for await (const line of createInterface({ input: child.stdout })) {
    const [kind, first = '', second = ''] = line.split('\t')
    if (kind === 'TEST') {
      console.log(`${first}\t${second}`)
      if (first === 'ok') outcome.ok++
      else if (first === 'FAILED') outcome.failed.push(second)
      else outcome.notRun++
    }
    if (kind === 'WHY') outcome.whys.push(`${first}: ${second}`)
    if (kind === 'DONE') isDone = true
  }
  await exited
  clearTimeout(limit)
  if (!isDone) outcome.failed.push('the class did not end')
  if (outcome.failed.length === 0) rmSync(home, { recursive: true, force: true })
  else outcome.whys.push(`logs of clients and servers: ${home}`)
  return outcome
}

const wanted = process.argv.slice(2).filter((arg) => !arg.startsWith('--'))
fetchJars()
const { runner, standIns } = compile()
const classPath = [...(process.argv.includes('--on-apache') ? [] : [standIns]), runner, `${jars}/*`].join(':')
const rows: string[] = []
for (const name of testClasses()) {
  const short = name.replace('org.apache.rocketmq.test.', '')
  const reason = Object.entries(NOT_APPLICABLE).find(([start]) => short.startsWith(start))?.[1]
  const isNamed = wanted.includes(name.slice(name.lastIndexOf('.') + 1))
  if (wanted.length > 0 ? !isNamed : reason !== undefined) continue
  const { ok, notRun, failed, whys } = await run(name, classPath)
  for (const why of whys) console.log(`  ${why}`)
  rows.push(`| ${short} | ${ok} | ${failed.length} | ${notRun} |`)
}
console.log(['', '| class | passed | failed | not run |', '|---|--:|--:|--:|', ...rows].join('\n'))
