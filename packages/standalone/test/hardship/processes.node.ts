/** Servers in processes of their own, started by the scripts that users run, and ended as hard as a test wants. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const BIN = join(import.meta.dirname, '../../../../distribution/bin')
const KEPT_OUTPUT = 4_000_000

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export class Server {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
  stdout = ''
  stderr = ''
  readonly #listeners = new Set<() => void>()

  constructor(script: 'mqbroker' | 'mqnamesrv', args: readonly string[], home: string) {
    const env = { ...process.env, HOME: home, SKYLARK_RUN_DIR: join(home, 'run'), NAMESRV_ADDR: '' }
    const child = spawn(join(BIN, script), args, { env, cwd: home, stdio: ['ignore', 'pipe', 'pipe'] })
    this.child = child
    this.ended = once(child, 'close').then(([code, signal]) => ({ code, signal }) as Ended)
    child.stdout.on('data', (chunk: Buffer) => {
      this.stdout = (this.stdout + chunk.toString()).slice(-KEPT_OUTPUT)
      for (const listener of this.#listeners) listener()
    })
    child.stderr.on('data', (chunk: Buffer) => {
      this.stderr = (this.stderr + chunk.toString()).slice(-KEPT_OUTPUT)
      for (const listener of this.#listeners) listener()
    })
  }

  get pid(): number {
    return this.child.pid as number
  }

  get isRunning(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null
  }

  /** Resolves when what the server printed matches; rejects when it ends first. */
  prints(pattern: RegExp): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (!pattern.test(this.stdout) && !pattern.test(this.stderr)) return
        this.#listeners.delete(look)
        resolve()
      }
      this.#listeners.add(look)
      look()
      this.ended.then(
        ({ code, signal }) => reject(new Error(`ended with ${code ?? signal} before it printed ${pattern}: ${this.stderr}`)),
        reject,
      )
    })
  }

  get isUp(): boolean {
    return this.stdout.includes('boot success')
  }

  up(): Promise<void> {
    return this.prints(/boot success/)
  }

  async end(signal: NodeJS.Signals): Promise<Ended> {
    if (this.isRunning) this.child.kill(signal)
    return await this.ended
  }

  /** Log lines (JSON, as pino writes them to a pipe). */
  logs(): readonly Readonly<Record<string, unknown>>[] {
    return this.stderr
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .flatMap((line) => {
        try {
          return [JSON.parse(line) as Record<string, unknown>]
        } catch {
          return []
        }
      })
  }

  /** Resident memory, from Linux's /proc; undefined elsewhere. */
  get residentBytes(): number | undefined {
    try {
      return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))?.[1]) * 1024
    } catch {
      return undefined
    }
  }
}

/** A folder of its own for the servers of one test; `dispose` ends them all. */
export class Home {
  readonly path = mkdtempSync(join(tmpdir(), 'skylark-hardship-'))
  readonly #servers: Server[] = []

  file(name: string, settings: Readonly<Record<string, string | number>> | string): string {
    const path = join(this.path, name)
    const text =
      typeof settings === 'string'
        ? settings
        : Object.entries(settings)
            .map(([key, value]) => `${key}=${value}\n`)
            .join('')
    writeFileSync(path, text)
    return path
  }

  start(script: 'mqbroker' | 'mqnamesrv', args: readonly string[]): Server {
    const server = new Server(script, args, this.path)
    this.#servers.push(server)
    return server
  }

  namesrvConf(port: number, further: Readonly<Record<string, string | number>> = {}): string {
    const settings = { listenPort: port, bindAddress: '127.0.0.1', kvConfigPath: join(this.path, `kv-${port}.json`) }
    return this.file(`namesrv-${port}.conf`, { ...settings, configStorePath: join(this.path, `namesrv-${port}.properties`), ...further })
  }

  brokerConf(port: number, namesrvAddr: string, further: Readonly<Record<string, string | number>> = {}): string {
    const settings = { listenPort: port, bindAddress: '127.0.0.1', brokerIP1: '127.0.0.1', brokerName: 'broker-a', namesrvAddr }
    return this.file(`broker-${port}.conf`, { ...settings, storePathRootDir: join(this.path, `store-${port}`), ...further })
  }

  async dispose(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.end('SIGKILL')))
    rmSync(this.path, { recursive: true, force: true })
  }
}
