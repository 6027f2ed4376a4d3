/** Completion scripts, from the same table as help: nouns, verbs, mqadmin's names and flags. They ask no cluster, so they are fast. */
import type { CliCommand } from './types.ts'

export const SHELLS = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof SHELLS)[number]

const longFlags = (command: CliCommand): string[] => [
  ...command.options.flatMap(({ flags }) => /--[\w-]+/.exec(flags)?.[0] ?? []),
  '--namesrvAddr',
  '--json',
  ...((command.effect ?? 'read') === 'read' ? ['--watch'] : []),
  ...(command.effect === 'destroy' ? ['--yes', '--dry-run'] : []),
]

const verbsOf = (commands: readonly CliCommand[]): ReadonlyMap<string, readonly CliCommand[]> => {
  const nouns = new Map<string, CliCommand[]>()
  for (const command of commands) nouns.set(command.noun, [...(nouns.get(command.noun) ?? []), command])
  return nouns
}

const words = (list: Iterable<string>): string => [...list].join(' ')

export function completion(shell: Shell, commands: readonly CliCommand[]): string {
  return shell === 'fish'
    ? fish(commands)
    : shell === 'zsh'
      ? `#compdef skylark\nautoload -U +X bashcompinit && bashcompinit\n${bash(commands)}`
      : bash(commands)
}

function bash(commands: readonly CliCommand[]): string {
  const nouns = verbsOf(commands)
  const first = words([...nouns.keys(), 'dev', 'namesrv', 'broker', 'completion', ...commands.map(({ alias }) => alias)])
  const verbs = [...nouns].map(([noun, list]) => `      ${noun}) words="${words(list.map(({ verb }) => verb))}" ;;`)
  const flags = commands.map((c) => `    "${c.noun} ${c.verb}"*|"${c.alias} "*) flags="${words(longFlags(c))}" ;;`)
  return `# skylark completion bash > /etc/bash_completion.d/skylark
_skylark() {
  local words="" flags="" current="\${COMP_WORDS[COMP_CWORD]}" line="\${COMP_WORDS[*]:1:COMP_CWORD}"
  if [ "$COMP_CWORD" = 1 ]; then
    words="${first}"
  elif [ "$COMP_CWORD" = 2 ]; then
    case "\${COMP_WORDS[1]}" in
${verbs.join('\n')}
    esac
  fi
  case "$line " in
${flags.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words $flags" -- "$current"))
}
complete -F _skylark skylark
`
}

const quoted = (text: string): string => `'${text.replaceAll("'", "\\'")}'`

function fish(commands: readonly CliCommand[]): string {
  const nouns = verbsOf(commands)
  const lines = ['# skylark completion fish > ~/.config/fish/completions/skylark.fish', 'complete -c skylark -f']
  for (const [noun, list] of nouns) {
    lines.push(`complete -c skylark -n __fish_use_subcommand -a ${noun} -d ${quoted(`${noun} commands`)}`)
    for (const { verb, summary } of list)
      lines.push(`complete -c skylark -n '__fish_seen_subcommand_from ${noun}' -a ${verb} -d ${quoted(summary)}`)
  }
  for (const command of commands) {
    const seen = `'__fish_seen_subcommand_from ${command.verb} ${command.alias}'`
    for (const flag of longFlags(command)) lines.push(`complete -c skylark -n ${seen} -l ${flag.slice(2)}`)
  }
  return `${lines.join('\n')}\n`
}
