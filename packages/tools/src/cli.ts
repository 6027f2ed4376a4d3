import { RocketError } from '@skylarkmq/client'
import { Argument, Command, CommanderError, Option } from 'commander'
import { COMMANDS } from './commands/index.ts'
import { SHELLS, completion } from './completion.ts'
import type { Shell } from './completion.ts'
import { renderJson, renderText } from './render.ts'
import { previewCommand, runCommand } from './run.ts'
import type { RunOptions } from './run.ts'
import type { CliCommand, CliWorld, Options, Outcome } from './types.ts'

/** 0 done, 1 the cluster refused or something was not found, 2 the command line was wrong. */
export const EXIT = { done: 0, failed: 1, usage: 2 } as const

const DEFAULT_NAMESRV = '127.0.0.1:9876'

/** Runs one command line (`['topic', 'list', '-n', '…']` or `['topicList', …]`) to its end. Never throws; resolves with the exit code. */
export async function runCli(argv: readonly string[], world: CliWorld): Promise<number> {
  let exitCode: number = EXIT.done
  const program = new Command('skylark')
    .description('Look at a RocketMQ or SkylarkMQ cluster, and change it')
    .exitOverride()
    .configureOutput({ writeOut: world.stdout, writeErr: world.stderr })
    .showHelpAfterError('(add --help for the options)')
  const nouns = new Map<string, Command>()
  // commander gives the words without flags, then the options, then itself.
  const run =
    (command: CliCommand) =>
    async (...given: unknown[]) => {
      const options = given.at(-2) as Options
      const word = given.length > 2 ? given[0] : undefined
      const all = command.argument && typeof word === 'string' ? { ...options, [command.argument.option]: word } : options
      exitCode = await runOne(command, all, world)
    }
  for (const command of commandsFor(argv[0])) {
    let noun = nouns.get(command.noun)
    if (!noun) nouns.set(command.noun, (noun = inherit(program.command(command.noun).description(`${command.noun} commands`), program)))
    declare(inherit(noun.command(command.verb), program), command).action(run(command))
    declare(inherit(program.command(command.alias, { hidden: true }), program), command).action(run(command))
  }
  inherit(program.command('completion'), program)
    .description(`A completion script for a shell: ${SHELLS.join(', ')}`)
    .addArgument(new Argument('<shell>', 'which').choices(SHELLS))
    .action((shell: Shell) => world.stdout(completion(shell, COMMANDS)))
  program.addHelpText('after', `\nmqadmin’s names work too: ${COMMANDS.map((c) => c.alias).join(', ')}`)
  try {
    await program.parseAsync([...argv], { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    return error.exitCode === 0 ? EXIT.done : EXIT.usage
  }
  return exitCode
}

/** A line that names a noun or an alias needs nothing of the others: to declare all costs more than to run one. Help shows them all. */
function commandsFor(word: string | undefined): readonly CliCommand[] {
  const named = COMMANDS.filter(({ noun, alias }) => noun === word || alias === word)
  return named.length === 0 ? COMMANDS : named
}

const inherit = (command: Command, from: Command): Command => command.copyInheritedSettings(from)

function declare(target: Command, command: CliCommand): Command {
  target.description(command.summary)
  if (command.argument) target.argument(command.argument.declaration, 'see the options')
  for (const { flags, meaning, required, default: otherwise } of command.options) {
    const option = new Option(flags, meaning)
    if (required) option.makeOptionMandatory()
    if (otherwise !== undefined) option.default(otherwise)
    target.addOption(option)
  }
  if ((command.effect ?? 'read') === 'read') target.addOption(new Option('--watch [seconds]', 'again and again until Ctrl-C'))
  if (command.effect === 'destroy') {
    target.addOption(new Option('--yes', 'do not ask'))
    target.addOption(new Option('--dry-run', 'only show what would be done'))
  }
  return target
    .addOption(
      new Option('-n, --namesrvAddr <addresses>', `NameServers, host:port;host:port (default: NAMESRV_ADDR, else ${DEFAULT_NAMESRV})`),
    )
    .addOption(new Option('--json', 'print JSON'))
}

async function runOne(command: CliCommand, options: Options, world: CliWorld): Promise<number> {
  const namesrvAddr = String(options.namesrvAddr ?? world.env.NAMESRV_ADDR ?? DEFAULT_NAMESRV)
  const run = { namesrvAddr, runtime: world.runtime, world, say: (sentence: string) => world.stderr(`${sentence}\n`) }
  const colours = world.isTerminal === true && !world.env.NO_COLOR
  const show = (outcome: Outcome) => world.stdout(options.json === true ? renderJson(outcome) : renderText(outcome, colours))
  try {
    if (command.effect === 'destroy') {
      if (options.dryRun === true) {
        show(await previewCommand(command, options, run))
        return EXIT.done
      }
      if (!(await isMeant(command, options, world, run))) return EXIT.failed
    }
    if (options.watch !== undefined) return await watch(command, options, world, async () => show(await runCommand(command, options, run)))
    const outcome = await runCommand(command, options, run)
    show(outcome)
    return outcome.exitCode ?? EXIT.done
  } catch (error) {
    world.stderr(explain(command, error, namesrvAddr, options.json === true))
    return error instanceof RocketError && error.code === 'BAD_ARGUMENT' ? EXIT.usage : EXIT.failed
  }
}

/** A person at a terminal is asked before anything is destroyed; a script means what it says, as with mqadmin. */
async function isMeant(command: CliCommand, options: Options, world: CliWorld, run: RunOptions): Promise<boolean> {
  if (options.yes === true || world.confirm === undefined) return true
  world.stderr(renderText({ value: null, notes: (await previewCommand(command, options, run)).notes?.slice(0, -1) ?? [] }))
  if (await world.confirm(`${command.summary}: go on?`)) return true
  world.stderr('Nothing was changed. (--yes goes on without asking)\n')
  return false
}

const DEFAULT_WATCH_SECONDS = 2
const CLEAR = '\u001b[2J\u001b[H'

/** Again and again until Ctrl-C. What fails meanwhile is shown and tried again: whoever watches wants to see it come back. */
async function watch(command: CliCommand, options: Options, world: CliWorld, show: () => Promise<void>): Promise<number> {
  const seconds = options.watch === true ? DEFAULT_WATCH_SECONDS : Number(options.watch)
  if (!(seconds >= 0.1 && seconds <= 86_400))
    throw new RocketError(`--watch is ${JSON.stringify(options.watch)}; give seconds from 0.1 on`, { code: 'BAD_ARGUMENT' })
  while (world.signal?.aborted !== true) {
    if (world.isTerminal === true) world.stdout(CLEAR)
    try {
      await show()
    } catch (error) {
      if (error instanceof RocketError && error.code === 'BAD_ARGUMENT') throw error
      world.stderr(explain(command, error, '', options.json === true))
    }
    await world.runtime.clock.sleep(seconds * 1000, world.signal).catch(() => {})
  }
  return EXIT.done
}

/** What failed, where, and what to check. */
function explain(command: CliCommand, error: unknown, namesrvAddr: string, json: boolean): string {
  const e = error as RocketError
  const known = error instanceof RocketError
  if (json) return `${JSON.stringify({ error: e.message, code: known ? e.code : 'INTERNAL', address: known ? e.address : undefined })}\n`
  const lines = [`${command.alias} failed: ${e.message}`]
  if (!known) lines.push(String(e.stack))
  else if (e.code === 'CONNECT_FAILED' || e.code === 'TIMEOUT' || e.code === 'CONNECTION_LOST') {
    lines.push(
      `Tried: ${e.address ?? namesrvAddr}. Check that the NameServer runs there and that -n (or NAMESRV_ADDR) names it; to start one here: skylark dev`,
    )
  } else if (e.code === 'TOPIC_NOT_EXIST') {
    lines.push('To see the topics that exist: skylark topic list. To create one: skylark topic update -t TOPIC')
  }
  return `${lines.join('\n')}\n`
}
