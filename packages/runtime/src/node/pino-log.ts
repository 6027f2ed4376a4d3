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
      options.stream ?? destination({ dest: 2, sync: true }),
    ),
  )
