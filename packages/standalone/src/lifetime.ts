/** From a started server to its clean end. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** npm, a shell and a terminal may each deliver the same Ctrl-C: what follows the first one so closely is the same wish. */
const SAME_SIGNAL_MS = 1_500

/** Waits for SIGINT, SIGTERM or SIGHUP, then closes; resolves with the exit code. A second, later signal ends at once. */
export function untilSignal(close: () => Promise<void>, onStopping: (signal: NodeJS.Signals) => void): Promise<number> {
  // What a server says may have no room (a full disk) or no reader any more; it serves all the same.
  for (const output of [process.stdout, process.stderr]) output.on('error', () => {})
  return new Promise((resolve) => {
    let stoppingSince: number | undefined
    const onSignal = (signal: NodeJS.Signals): void => {
      if (stoppingSince !== undefined) {
        if (performance.now() - stoppingSince > SAME_SIGNAL_MS) process.exit(130)
        return
      }
      stoppingSince = performance.now()
      onStopping(signal)
      close().then(
        () => resolve(0),
        (error: unknown) => {
          process.stderr.write(`skylark: did not stop cleanly: ${String(error)}\n`)
          resolve(1)
        },
      )
    }
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal)
  })
}

/** Where running servers leave their pids for mqshutdown. */
export const runDirectory = (): string => process.env['SKYLARK_RUN_DIR'] || join(homedir(), '.skylark', 'run')

/** Writes the pid file; returns how to remove it. A server runs without one just as well: only mqshutdown will not find it. */
export function writePidFile(kind: 'namesrv' | 'broker', port: number): () => void {
  const file = join(runDirectory(), `${kind}-${port}.pid`)
  try {
    mkdirSync(runDirectory(), { recursive: true, mode: 0o700 })
    writeFileSync(file, `${process.pid}\n`)
  } catch (error) {
    process.stderr.write(`skylark: no pid file, mqshutdown will not find this server: ${String(error)}\n`)
    return () => {}
  }
  return () => rmSync(file, { force: true })
}
