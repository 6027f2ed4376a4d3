import { destination, pino, stdSerializers } from 'pino'
import type { DestinationStream, Logger } from 'pino'
import type { Log, LogFields } from '../log.ts'
import type { LogLevel } from './log.ts'

export interface PinoLogOptions {
  readonly level?: LogLevel
  /** By default standard error, written synchronously: the last lines before a crash are the ones that matter. */
  readonly stream?: DestinationStream
  /** Fields of every line, instead of pino's pid and hostname. */
  readonly fields?: LogFields
}

/** Lines that the output does not take are kept up to here, for when it does again; then new ones are dropped. */
const KEPT_BYTES = 1024 * 1024

/** A log that cannot be written (a full disk, a reader that is gone) is no reason to end a server. */
function standardError(): DestinationStream {
  const stream = destination({ dest: 2, sync: true, maxLength: KEPT_BYTES })
  stream.on('error', () => {})
  return stream
}

const adapt = (logger: Logger): Log => ({
  debug: (sentence, fields) => logger.debug(fields ?? {}, sentence),
  info: (sentence, fields) => logger.info(fields ?? {}, sentence),
  warn: (sentence, fields) => logger.warn(fields ?? {}, sentence),
  error: (sentence, fields) => logger.error(fields ?? {}, sentence),
  child: (fields) => adapt(logger.child(fields)),
})

/** JSON lines by pino, for executables. */
export const pinoLog = (options: PinoLogOptions = {}): Log =>
  adapt(
    pino(
      {
        level: options.level ?? 'info',
        base: options.fields ?? null,
        timestamp: () => `,"time":"${new Date().toISOString()}"`,
        formatters: { level: (label) => ({ level: label }) },
        serializers: { error: stdSerializers.err, err: stdSerializers.err },
      },
      options.stream ?? standardError(),
    ),
  )
