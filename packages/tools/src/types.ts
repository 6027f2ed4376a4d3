import type { AdminClient, Client } from '@skylarkmq/client'
import type { Runtime } from '@skylarkmq/runtime'
import type { Progress } from './progress.ts'

/** The terminal and environment of one call, handed in so that a test reads what a person would. */
export interface CliWorld {
  readonly runtime: Runtime
  readonly env: Readonly<Record<string, string | undefined>>
  stdout(text: string): void
  stderr(text: string): void
  readonly isTerminal?: boolean
  /** Standard error goes to a person's eyes: bars of progress may be drawn there. */
  readonly isErrorTerminal?: boolean
  /** Asks a person; undefined where nobody sits in front of it. */
  readonly confirm?: ((question: string) => Promise<boolean>) | undefined
  readonly signal?: AbortSignal
}

export type Options = Readonly<Record<string, string | boolean | undefined>>

export interface CommandContext {
  readonly options: Options
  readonly world: CliWorld
  readonly client: Client
  readonly admin: AdminClient
  /** Warnings: they go to standard error. */
  say(sentence: string): void
  /** A bar for work that may take long; drawn at a terminal only, and taken away when the command ends. */
  progress(what: string, total?: number): Progress
}

/** What a command found: `value` for --json, tables and notes for people. */
export interface Outcome {
  readonly value: unknown
  readonly tables?: readonly Table[]
  readonly notes?: readonly string[]
  /** 0 unless something asked for was not found (1). */
  readonly exitCode?: number
}

export interface Table {
  readonly columns: readonly string[]
  readonly rows: readonly (readonly (string | number)[])[]
}

export interface OptionDeclaration {
  /** commander's form: `-t, --topic <topic>`. */
  readonly flags: string
  readonly meaning: string
  readonly required?: boolean
  readonly default?: string
}

/** One sub-command: `skylark topic list`, and `topicList` for hands that know mqadmin. */
export interface CliCommand {
  readonly noun: string
  readonly verb: string
  /** Apache's name of it. */
  readonly alias: string
  readonly summary: string
  readonly options: readonly OptionDeclaration[]
  /** `read` (when nothing is said) may be watched; `destroy` asks a person first and knows --dry-run. */
  readonly effect?: 'read' | 'change' | 'destroy'
  /** A first word without a flag, taken as this option: `skylark explain MESSAGE_ID`. */
  readonly argument?: { readonly declaration: string; readonly option: string }
  run(context: CommandContext): Promise<Outcome>
}
