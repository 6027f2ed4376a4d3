/**
 * A turn of one of several servers on one machine. What the others did not yet write, and what they do while nobody asks them, would
 * be paid for by whoever is measured: so all dirty pages are written first, and the others stand still (SIGSTOP) until the turn ends.
 */
import { execFileSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'

/** The quiet before a turn, when all is written. */
const GAP_MS = 2000

export async function alone<T>(others: readonly number[], turn: () => Promise<T>): Promise<T> {
  try {
    for (const pid of others) process.kill(pid, 'SIGSTOP')
    execFileSync('sync')
    await sleep(GAP_MS)
    return await turn()
  } finally {
    for (const pid of others) process.kill(pid, 'SIGCONT')
  }
}
