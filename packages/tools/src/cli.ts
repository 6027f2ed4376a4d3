import { Client, createClient, RocketError } from '@skylarkmq/client'
import { Command, CommanderError, Option } from 'commander'
import { COMMANDS } from './commands/index.ts'
import { renderJson, renderText } from './render.ts'
import type { CliCommand, CliWorld, Options } from './types.ts'

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
  for (const command of COMMANDS) {
    let noun = nouns.get(command.noun)
    if (!noun) nouns.set(command.noun, (noun = inherit(program.command(command.noun).description(`${command.noun} commands`), program)))
    declare(inherit(noun.command(command.verb), program), command).action(run(command))
    declare(inherit(program.command(command.alias, { hidden: true }), program), command).action(run(command))
  }
  program.addHelpText('after', `\nmqadmin’s names work too: ${COMMANDS.map((c) => c.alias).join(', ')}`)
  try {
    await program.parseAsync([...argv], { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    return error.exitCode === 0 ? EXIT.done : EXIT.usage
  }
  return exitCode
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
  return target
    .addOption(
      new Option('-n, --namesrvAddr <addresses>', `NameServers, host:port;host:port (default: NAMESRV_ADDR, else ${DEFAULT_NAMESRV})`),
    )
    .addOption(new Option('--json', 'print JSON'))
}

async function runOne(command: CliCommand, options: Options, world: CliWorld): Promise<number> {
  const namesrvAddr = String(options.namesrvAddr ?? world.env.NAMESRV_ADDR ?? DEFAULT_NAMESRV)
  let client: Client | undefined
  try {
    client = await createClient({ namesrvAddr, runtime: world.runtime, instanceName: `tools-${world.runtime.random.integer(1 << 30)}` })
    const admin = client.admin()
    const say = (sentence: string) => world.stderr(`${sentence}\n`)
    const outcome = await command.run({ options, world, client, admin, say })
    world.stdout(options.json === true ? renderJson(outcome) : renderText(outcome))
    return outcome.exitCode ?? EXIT.done
  } catch (error) {
    world.stderr(explain(command, error, namesrvAddr, options.json === true))
    return error instanceof RocketError && error.code === 'BAD_ARGUMENT' ? EXIT.usage : EXIT.failed
  } finally {
    await client?.close({ drainMs: 0 })
  }
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
