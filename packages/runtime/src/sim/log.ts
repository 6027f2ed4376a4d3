import type { Log, LogFields } from '../log.ts'
import { formatFields } from '../log-format.ts'

/** One line of a simulated world, with who said it and when (virtual milliseconds). */
export interface LogLine {
  readonly atMs: number
  readonly node: string
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly sentence: string
  readonly fields: LogFields
}

/** Keeps every line, so that a test can ask what was said. */
export class RecordingLog implements Log {
  readonly #lines: LogLine[]
  readonly #node: string
  readonly #nowMs: () => number
  readonly #fields: LogFields

  constructor(lines: LogLine[], node: string, nowMs: () => number, fields: LogFields = {}) {
    this.#lines = lines
    this.#node = node
    this.#nowMs = nowMs
    this.#fields = fields
  }

  debug(sentence: string, fields?: LogFields): void {
    this.#record('debug', sentence, fields)
  }

  info(sentence: string, fields?: LogFields): void {
    this.#record('info', sentence, fields)
  }

  warn(sentence: string, fields?: LogFields): void {
    this.#record('warn', sentence, fields)
  }

  error(sentence: string, fields?: LogFields): void {
    this.#record('error', sentence, fields)
  }

  child(fields: LogFields): Log {
    return new RecordingLog(this.#lines, this.#node, this.#nowMs, { ...this.#fields, ...fields })
  }

  #record(level: LogLine['level'], sentence: string, fields: LogFields | undefined): void {
    this.#lines.push({ atMs: this.#nowMs(), node: this.#node, level, sentence, fields: { ...this.#fields, ...fields } })
  }
}

/** For the report of a failed run. */
export const formatLine = (line: LogLine): string =>
  `${line.atMs.toFixed(3).padStart(12)} ${line.node} ${line.level.toUpperCase()} ${line.sentence}${formatFields(line.fields)}`
