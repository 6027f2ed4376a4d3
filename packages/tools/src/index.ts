export { EXIT, runCli } from './cli.ts'
export { COMMANDS } from './commands/index.ts'
export type { CliCommand, CliWorld, Outcome } from './types.ts'
