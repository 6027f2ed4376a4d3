import type { Log } from './log.ts'

interface Started {
  readonly name: string
  readonly stop: () => void | Promise<void>
}

/**
 * What a server is made of, as parts that start one after another and stop in reverse. A part that fails to start stops those before
 * it. Stopping goes on past a part that fails to stop: the others still hold files and sockets.
 */
export class Lifecycle {
  readonly #log: Log
  readonly #started: Started[] = []
  #stopping: Promise<void> | undefined

  constructor(log: Log) {
    this.#log = log
  }

  /** Starts a part and remembers how it is stopped. Throws what its start throws, after everything started so far has stopped. */
  async start<T>(name: string, start: () => T | Promise<T>, stop: (part: T) => void | Promise<void>): Promise<T> {
    try {
      if (this.#stopping) throw new Error(`cannot start ${name}: already stopping`)
      const part = await start()
      const entry: Started = { name, stop: () => stop(part) }
      // Asked to stop while this part was starting: its turn has passed.
      if (this.#stopping) {
        await entry.stop()
        throw new Error(`${name} was stopped while it started`)
      }
      this.#started.push(entry)
      return part
    } catch (error) {
      await this.stop().catch((failure: unknown) => this.#log.error('stopping after a failed start failed', { part: name, error: failure }))
      throw error
    }
  }

  /** Stops all in reverse, each awaited. Rejects at the end with what failed. Further calls wait for the first. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stopAll()
    return this.#stopping
  }

  async #stopAll(): Promise<void> {
    const failures: unknown[] = []
    for (let part = this.#started.pop(); part; part = this.#started.pop()) {
      try {
        await part.stop()
      } catch (error) {
        this.#log.error('a part failed to stop', { part: part.name, error })
        failures.push(error)
      }
    }
    if (failures.length === 1) throw failures[0]
    if (failures.length > 1) throw new AggregateError(failures, `${failures.length} parts failed to stop; the log names each`)
  }
}
