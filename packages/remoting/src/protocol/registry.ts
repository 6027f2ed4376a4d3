import type { AnyCommand } from './command.ts'
import * as commands from './commands/index.ts'

/** Every declared command, by its property name. Nothing else lists them. */
export const COMMANDS = commands
export type Commands = typeof commands

const ALL = Object.values(commands) as readonly AnyCommand[]

const BY_CODE = new Map<number, AnyCommand>()
for (const command of ALL) {
  const other = BY_CODE.get(command.code)
  if (other) throw new Error(`request code ${command.code} is declared twice: ${other.name} and ${command.name}`)
  BY_CODE.set(command.code, command)
}

export const allCommands = (): readonly AnyCommand[] => [...ALL].sort((a, b) => a.code - b.code)

export const commandByCode = (code: number): AnyCommand | undefined => BY_CODE.get(code)

/** Property name to number: `RequestCode.SendMessage` is 10. */
export const RequestCode = Object.freeze(Object.fromEntries(Object.entries(commands).map(([name, c]) => [name, c.code]))) as {
  readonly [N in keyof Commands]: Commands[N]['code']
}
