/** One server in a process of its own, started again when it dies. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'

export interface SupervisedOptions {
  /** How its lines are told from the others'. */
  readonly name: string
  /** Arguments of `skylark`, looked up at each start. */
  readonly args: () => readonly string[]
  /** What it prints once it serves. */
  readonly ready: RegExp
  /** With the words of `ready`, at each start. */
  readonly onReady: (found: RegExpExecArray) => void
  readonly print: (line: string) => void
}

const FIRST_PAUSE_MS = 1_000
const LONGEST_PAUSE_MS = 30_000
/** Whoever lived so long starts again at once. */
const STEADY_MS = 60_000
/** A server writes all that it holds before it ends; a disk that hangs must not hang the others. */
const STOP_WITHIN_MS = 60_000

export class SupervisedProcess {
  readonly #options: SupervisedOptions
  #child: ChildProcess | undefined
  #ended: Promise<void> = Promise.resolve()
  #pauseMs = FIRST_PAUSE_MS
  #pause: NodeJS.Timeout | undefined
  #isStopping = false

  constructor(options: SupervisedOptions) {
    this.#options = options
  }

  /** Resolves when it serves; rejects when its first start fails, for which nobody would want a second. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      let hasServed = false
      const onReady = () => {
        hasServed = true
        resolve()
      }
      const onEnd = (how: string, isClean: boolean, livedMs: number) => {
        this.#child = undefined
        const { name, print } = this.#options
        if (this.#isStopping) return
        if (!hasServed) return reject(new Error(`${name} did not start (${how}); its lines above say why`))
        if (isClean) return print(`${name}: was stopped by someone else, and stays so`)
        if (livedMs > STEADY_MS) this.#pauseMs = FIRST_PAUSE_MS
        print(`${name}: ended with ${how}; it is started again in ${this.#pauseMs / 1000} s`)
        this.#pause = setTimeout(() => this.#spawn(onReady, onEnd), this.#pauseMs)
        this.#pauseMs = Math.min(LONGEST_PAUSE_MS, this.#pauseMs * 2)
      }
      this.#spawn(onReady, onEnd)
    })
  }

  /** Ends it as Ctrl-C would; resolves when it is gone, with whether it went cleanly. */
  async stop(): Promise<boolean> {
    this.#isStopping = true
    clearTimeout(this.#pause)
    const child = this.#child
    if (child === undefined) return true
    child.kill('SIGTERM')
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS)
    await this.#ended
    clearTimeout(late)
    return child.exitCode === 0
  }

  #spawn(onReady: () => void, onEnd: (how: string, isClean: boolean, livedMs: number) => void): void {
    const { name, args, ready, print } = this.#options
    const began = performance.now()
    // In a group of its own: a terminal's Ctrl-C is ours to pass on, in order. By the channel it sees us end, however we do.
    const child = spawn(process.execPath, [...process.execArgv, process.argv[1] as string, ...args()], {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { ...process.env, SKYLARK_LOG_LEVEL: process.env['SKYLARK_LOG_LEVEL'] ?? 'warn' },
    })
    this.#child = child
    print(`${name}: process ${child.pid}`)
    const lines = (stream: Readable | null, look: (line: string) => void) => {
      if (stream !== null) createInterface({ input: stream }).on('line', (line) => (print(`${name}: ${line}`), look(line)))
    }
    lines(child.stdout, (line) => {
      const found = ready.exec(line)
      if (found === null) return
      this.#options.onReady(found)
      onReady()
    })
    lines(child.stderr, () => {})
    this.#ended = new Promise((resolve) => {
      child.once('error', (error) => print(`${name}: ${error.message}`))
      child.once('close', (code, signal) => {
        resolve()
        onEnd(signal ?? `exit code ${code}`, code === 0, performance.now() - began)
      })
    })
  }
}
