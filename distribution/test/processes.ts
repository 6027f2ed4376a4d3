/** Start scripts as a person runs them, each in a home of its own, on free ports. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const DISTRIBUTION = join(import.meta.dirname, '..')

export interface Finished {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  readonly child: ChildProcess
  readonly pid: number
  /** Resolves when the output holds `text`; rejects when the process ends first. */
  says(text: string): Promise<void>
  readonly finished: Promise<Finished>
}

export class Home {
  readonly path = mkdtempSync(join(tmpdir(), 'skylark-distribution-'))
  readonly #running: Running[] = []

  run(script: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Running {
    const own = { HOME: this.path, SKYLARK_RUN_DIR: join(this.path, 'run'), NAMESRV_ADDR: '' }
    const child = spawn(join(DISTRIBUTION, 'bin', script), args, { env: { ...process.env, ...own, ...env }, cwd: this.path })
    const running = watch(child)
    this.#running.push(running)
    return running
  }

  finish(script: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Finished> {
    return this.run(script, args, env).finished
  }

  file(name: string, text: string): string {
    const path = join(this.path, name)
    writeFileSync(path, text)
    return path
  }

  /** A file of distribution/conf, with this test's ports. */
  shipped(name: string, changes: Readonly<Record<string, string | number>>): string {
    let text = readFileSync(join(DISTRIBUTION, 'conf', name), 'utf8')
    for (const [key, value] of Object.entries(changes)) {
      const line = new RegExp(`^${key}=.*$`, 'm')
      if (!line.test(text)) throw new Error(`${name} has no line ${key}=`)
      text = text.replace(line, `${key}=${value}`)
    }
    return this.file(name.replaceAll('/', '-'), text)
  }

  async dispose(): Promise<void> {
    for (const { child } of this.#running) if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    await Promise.all(this.#running.map(({ finished }) => finished))
    rmSync(this.path, { recursive: true, force: true })
  }
}

function watch(child: ChildProcess): Running {
  const output = { stdout: '', stderr: '' }
  const listeners = new Set<() => void>()
  const take = (name: 'stdout' | 'stderr') => (chunk: Buffer) => {
    output[name] += chunk.toString()
    for (const listener of listeners) listener()
  }
  child.stdout?.on('data', take('stdout'))
  child.stderr?.on('data', take('stderr'))
  const finished = once(child, 'close').then(([code, signal]) => ({ code, signal, ...output }) as Finished)
  const says = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = () => output.stdout.includes(text) && resolve()
      listeners.add(look)
      look()
      finished.then(({ code, stderr }) => reject(new Error(`ended with ${code} before it said ${JSON.stringify(text)}: ${stderr}`)), reject)
    })
  return { child, pid: child.pid as number, says, finished }
}
