/**
 * Fetches the unmodified clients (and Apache's servers) through their own package managers, once, into interop/.cache. Each function
 * returns the reason when this machine cannot, so that a test can be skipped by name.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { ProcessProbe } from './probe.ts'
import type { Probe } from './probe.ts'

const here = join(import.meta.dirname, '..')
const cache = join(here, '.cache')

export type Maker = { readonly name: string; readonly missing: string | undefined; readonly make: (namesrv: string) => Probe }

const has = (command: string, ...args: string[]): boolean => {
  try {
    execFileSync(command, args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

export const newerThan = (file: string, source: string): boolean => existsSync(file) && statSync(file).mtimeMs >= statSync(source).mtimeMs

export const JAVA_FLAGS = [
  '--add-opens=java.base/java.lang=ALL-UNNAMED',
  '--add-opens=java.base/java.nio=ALL-UNNAMED',
  '--add-opens=java.base/sun.nio.ch=ALL-UNNAMED',
  '--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED',
  '--add-exports=java.base/sun.nio.ch=ALL-UNNAMED',
  // Apache's servers leave certificates there. Java does not ask TMPDIR.
  `-Djava.io.tmpdir=${tmpdir()}`,
]

export const scratch = (name: string): string => mkdtempSync(join(tmpdir(), `skylark-${name}-`))

/** The folder with the jars of a version, fetched by Maven; or why not. */
export function jars(version: string, profile?: 'servers' | 'examples'): { folder: string } | { missing: string } {
  if (!has('java', '-version') || !has('mvn', '--version')) return { missing: 'no JDK with Maven on this machine' }
  return alone(() => fetchJars(version, profile))
}

/** Test files run two at a time: one fetches, the others wait and find what it fetched. */
function alone<T>(work: () => T): T {
  const lock = join(cache, 'fetching')
  mkdirSync(cache, { recursive: true })
  for (;;) {
    try {
      mkdirSync(lock)
      break
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      const ageMs = Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now())
      // Whoever held it was killed.
      if (ageMs > 600_000) rmSync(lock, { recursive: true, force: true })
      else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100)
    }
  }
  try {
    return work()
  } finally {
    rmSync(lock, { recursive: true, force: true })
  }
}

function fetchJars(version: string, profile?: 'servers' | 'examples'): { folder: string } | { missing: string } {
  const folder = join(cache, `java-${version}${profile ? `-${profile}` : ''}`)
  if (!existsSync(join(folder, `rocketmq-client-${version}.jar`))) {
    const args = ['-q', '-B', '-f', join(here, 'java/pom.xml'), `-Drocketmq.version=${version}`, ...(profile ? [`-P${profile}`] : [])]
    try {
      execFileSync('mvn', [...args, 'dependency:copy-dependencies', `-DoutputDirectory=${folder}`], { stdio: 'pipe' })
    } catch (error) {
      return {
        missing: `Maven could not fetch rocketmq ${version}: ${String((error as { stdout?: Buffer }).stdout ?? error).slice(0, 300)}`,
      }
    }
  }
  return { folder }
}

/** A class of ours over the jars of a version. */
export function compileJava(jarFolder: string, source: string, classes: string): void {
  alone(() => {
    if (newerThan(join(classes, `${basename(source, '.java')}.class`), source)) return
    mkdirSync(classes, { recursive: true })
    execFileSync('javac', ['-nowarn', '-cp', `${jarFolder}/*`, '-d', classes, source], { stdio: 'pipe' })
  })
}

/** `settings`: system properties of the client beside its own. */
export function javaClient(version: string, settings: readonly string[] = []): Maker {
  const name = `java-${version}`
  const found = jars(version)
  if ('missing' in found) return { name, missing: found.missing, make: unavailable }
  const classes = join(cache, `classes-${version}`)
  const source = join(here, 'java/Probe.java')
  compileJava(found.folder, source, classes)
  return {
    name,
    missing: undefined,
    make: (namesrv) => {
      const home = scratch('java-home')
      const flags = ['-Xmx128m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', `-Duser.home=${home}`, '-Drocketmq.client.logUseSlf4j=true']
      return new ProcessProbe(name, 'java', [...JAVA_FLAGS, ...flags, ...settings, '-cp', `${classes}:${found.folder}/*`, 'Probe', namesrv])
    },
  }
}

export function goClient(): Maker {
  const name = 'go-2.1.2'
  if (!has('go', 'version')) return { name, missing: 'no Go on this machine', make: unavailable }
  const binary = join(cache, 'go-probe')
  const folder = join(here, 'go')
  try {
    alone(() => {
      if (!newerThan(binary, join(folder, 'main.go'))) execFileSync('go', ['build', '-o', binary, '.'], { cwd: folder, stdio: 'pipe' })
    })
  } catch (error) {
    return {
      name,
      missing: `Go could not build the probe: ${String((error as { stderr?: Buffer }).stderr ?? error).slice(0, 300)}`,
      make: unavailable,
    }
  }
  return {
    name,
    missing: undefined,
    make: (namesrv) => new ProcessProbe(name, binary, [namesrv], { env: { ...process.env, HOME: scratch('go-home') } }),
  }
}

export function aliOnsClient(): Maker {
  const make = (namesrv: string) =>
    new ProcessProbe('ali-ons', process.execPath, [join(here, 'js/probe.mjs'), namesrv], {
      env: { ...process.env, HOME: scratch('ons-home') },
    })
  return { name: 'ali-ons-3.12.0', missing: undefined, make }
}

const unavailable = (): never => {
  throw new Error('this client is not available here')
}
