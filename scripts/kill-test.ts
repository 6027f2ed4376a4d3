/**
 * A broker that is killed with -9 again and again, under producers, consumers and timers that never rest; a tenth as often with
 * synchronous flush. Tells how far it is every 50 cycles, and ends with one line of what was promised and found.
 *
 *   npm run kill-test -- --cycles 1000
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const { values } = parseArgs({ options: { cycles: { type: 'string', default: '1000' } } })
const cycles = Number(values.cycles)
if (!Number.isSafeInteger(cycles) || cycles < 1) throw new Error(`--cycles ${values.cycles}: it must be a whole number from 1`)
const root = join(fileURLToPath(import.meta.url), '../..')
const vitest = join(root, 'node_modules/vitest/vitest.mjs')
const what = ['run', 'packages/standalone/test/hardship/kill.node.test.ts', '--project=system', '--disableConsoleIntercept']
const env = { ...process.env, KILL_CYCLES: String(cycles) }
const { status } = spawnSync(process.execPath, [vitest, ...what], { cwd: root, env, stdio: 'inherit' })
process.exitCode = status ?? 1
