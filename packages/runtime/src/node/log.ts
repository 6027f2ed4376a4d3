import type { Log, LogFields } from '../log.ts'
import { formatFields } from '../log-format.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

export interface ConsoleLogOptions {
  readonly level?: LogLevel
  /** Takes one finished line, without its end. By default standard error. */
  readonly write?: (line: string) => void
}

const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error', 'silent']

class ConsoleLog implements Log {
  readonly #lowest: number
  readonly #write: (line: string) => void
  readonly #fields: LogFields

  constructor(lowest: number, write: (line: string) => void, fields: LogFields) {
    this.#lowest = lowest
    this.#write = write
    this.#fields = fields
  }

  debug(sentence: string, fields?: LogFields): void {
    this.#line(0, 'DEBUG', sentence, fields)
  }

  info(sentence: string, fields?: LogFields): void {
    this.#line(1, 'INFO ', sentence, fields)
  }

  warn(sentence: string, fields?: LogFields): void {
    this.#line(2, 'WARN ', sentence, fields)
  }

  error(sentence: string, fields?: LogFields): void {
    this.#line(3, 'ERROR', sentence, fields)
  }

  child(fields: LogFields): Log {
    return new ConsoleLog(this.#lowest, this.#write, { ...this.#fields, ...fields })
  }

  #line(level: number, name: string, sentence: string, fields: LogFields | undefined): void {
    if (level < this.#lowest) return
    this.#write(`${new Date().toISOString()} ${name} ${sentence}${formatFields({ ...this.#fields, ...fields })}`)
  }
}

/** Plain lines for people: time, level, sentence, key=value. */
export const consoleLog = (options: ConsoleLogOptions = {}): Log =>
  new ConsoleLog(LEVELS.indexOf(options.level ?? 'info'), options.write ?? ((line) => process.stderr.write(`${line}\n`)), {})
