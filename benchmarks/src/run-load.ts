/** Loads in processes of their own, with the CPU time that they cost others while they counted. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { LoadResult } from './load.ts'
import { cpuSeconds } from './servers.ts'

export interface Measured extends LoadResult {
  /** Of each watched process, while it was counted. */
  readonly cpuSeconds: readonly number[]
}

/** Runs a script of this folder that talks as load.ts does. */
export async function runLoadProcess(
  script: string,
  options: Readonly<Record<string, string | number>>,
  watched: readonly number[],
): Promise<Measured> {
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
  const child = fork(join(import.meta.dirname, script), args, {
    execArgv: ['--conditions=source', '--import', 'tsx'],
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  let output = ''
  let before = watched.map(() => 0)
  let after = before
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.on('message', (what) => {
    if (what === 'counting') before = watched.map(cpuSeconds)
    else after = watched.map(cpuSeconds)
  })
  await once(child, 'close')
  if (output === '') throw new Error(`${script} ${args.join(' ')} ended without a result`)
  const result = JSON.parse(output) as LoadResult
  return { ...result, cpuSeconds: after.map((value, i) => value - (before[i] as number)) }
}
