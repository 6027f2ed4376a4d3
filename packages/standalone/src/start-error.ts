import { portHolder } from './port-holder.ts'
import { UsageError } from './usage-error.ts'

interface SystemError extends Error {
  readonly code?: string
  readonly syscall?: string
  readonly path?: string
  readonly port?: number
  readonly address?: string
}

/** Prints why it did not start, and what to do; returns the exit code. */
export function reportFailure(error: unknown): number {
  if (error instanceof UsageError) {
    process.stderr.write(`skylark: ${error.message}\n`)
    return 2
  }
  const sentence = error instanceof Error ? explain(error) : String(error)
  process.stderr.write(`skylark: ${sentence}\n`)
  return 1
}

/** The well-known failures of a start as a sentence with its remedy; others with their stack, for a bug report. */
export function explain(error: SystemError): string {
  switch (error.code) {
    case 'EADDRINUSE':
      return `port ${error.port ?? portOf(error)} is in use${usedBy(error.port ?? portOf(error))}; stop that, or choose another port (listenPort in the file of -c; skylark dev --port and --namesrv-port)`
    case 'EACCES':
      return error.path === undefined
        ? `port ${error.port ?? portOf(error)} may not be opened by this user; choose one above 1023 (listenPort)`
        : `${error.path} may not be written by this user; change its owner or choose another folder (storePathRootDir, kvConfigPath)`
    case 'EADDRNOTAVAIL':
      return `the address ${error.address ?? ''} is none of this machine's; set bindAddress to one of them, or to 0.0.0.0`
    case 'ENOENT':
    case 'EPERM':
      return error.syscall === 'mkdir'
        ? `the folder ${error.path} cannot be made (${error.code}); choose another one (storePathRootDir)`
        : withCause(error)
    case 'EROFS':
      return `${error.path} lies on a read-only file system; choose another folder (storePathRootDir)`
    case 'ENOTDIR':
    case 'EEXIST':
      return `${error.path} is in the way: a file where a folder must be; move it, or choose another folder (storePathRootDir)`
    case 'ENOSPC':
      return `no room left on the disk for ${error.path ?? 'the store'}; free some, or choose another folder (storePathRootDir)`
    default:
      // Errors of ours say what to do; anything else is a bug that needs its stack.
      return error.name === 'RocketError' || error.name === 'StoreError' || error.name === 'Error'
        ? withCause(error)
        : (error.stack ?? error.message)
  }
}

const withCause = (error: Error): string => (error.cause instanceof Error ? `${error.message} (${error.cause.message})` : error.message)

const portOf = (error: Error): number => Number(/:(\d+)\b/.exec(error.message)?.[1] ?? Number.NaN)

function usedBy(port: number): string {
  const holder = portHolder(port)
  return holder === undefined ? '' : ` by process ${holder.pid} (${holder.command})`
}
