import type { Log } from '../log.ts'
import type { Runtime } from '../runtime.ts'
import { nodeClock } from './clock.ts'
import { nodeDisk } from './disk.ts'
import { consoleLog } from './log.ts'
import { nodeNetwork } from './network.ts'
import { nodeRandom } from './random.ts'

export { nodeClock } from './clock.ts'
export { nodeDisk } from './disk.ts'
export { consoleLog } from './log.ts'
export type { ConsoleLogOptions, LogLevel } from './log.ts'
export { nodeNetwork } from './network.ts'
export type { NodeNetworkOptions } from './network.ts'
export { nodeRandom } from './random.ts'

/** The real outside world. Without `log`, warnings and errors go to standard error. */
export const nodeRuntime = (options: { readonly log?: Log } = {}): Runtime => {
  const log = options.log ?? consoleLog({ level: 'warn' })
  return { clock: nodeClock(), disk: nodeDisk(), network: nodeNetwork({ log }), random: nodeRandom(), log }
}
