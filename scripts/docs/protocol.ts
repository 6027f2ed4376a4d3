import type { AnyCommand, Field, Fields } from '@skylarkmq/remoting/protocol'
import { allCommands, COMMANDS } from '@skylarkmq/remoting/protocol'

/** docs/protocol.md: every request, from its declaration. */
const NAME_OF = new Map<AnyCommand, string>(Object.entries(COMMANDS).map(([name, command]) => [command as AnyCommand, name]))

const KIND: Readonly<Record<Field['kind'], string>> = {
  string: 'text',
  int: 'int32',
  long: 'int64 below 2^53',
  long64: 'int64',
  double: 'number',
  boolean: 'true or false',
  enum: 'one of',
}

const serversOf = (command: AnyCommand): string => ([] as readonly string[]).concat(command.server).join(', ')
const anchor = (command: AnyCommand): string => `#${command.code}-${command.name.toLowerCase()}`

function fieldLine(name: string, field: Field): string {
  const kind = field.kind === 'enum' ? `one of ${(field.values ?? []).map((v) => `\`${v}\``).join(', ')}` : KIND[field.kind]
  const notes: string[] = []
  if (field.wireName !== undefined) notes.push(`on the wire \`${field.wireName}\``)
  if (field.aliases.length > 0) notes.push(`also read as ${field.aliases.map((a) => `\`${a}\``).join(', ')}`)
  return `| \`${name}\` | ${kind} | ${field.optional ? '' : 'yes'} | ${notes.join('; ')} |`
}

function fieldTable(title: string, fields: Fields, body: string | undefined): string[] {
  const names = Object.keys(fields)
  const bodyText = body === undefined ? '' : `; body: ${body}`
  if (names.length === 0) return [`${title}: no fields${bodyText}.`, '']
  return [
    `${title}${bodyText}`,
    '',
    '| field | kind | required | notes |',
    '|---|---|---|---|',
    ...names.map((name) => fieldLine(name, fields[name] as Field)),
    '',
  ]
}

function section(command: AnyCommand): string[] {
  const touched = Object.entries(command.resource ?? {}).map(([kind, field]) => `${kind} in \`${field}\``)
  return [
    `### ${command.code} ${command.name}`,
    '',
    `\`${NAME_OF.get(command)}\`, answered by: ${serversOf(command)}. ${command.summary}${touched.length === 0 ? '' : ` Touches: ${touched.join(', ')}.`}`,
    '',
    ...fieldTable('Request', command.request as Fields, command.requestBody),
    ...fieldTable('Answer', command.response as Fields, command.responseBody),
  ]
}

export function protocolPage(): string {
  const commands = allCommands()
  return [
    '# The protocol',
    '',
    'Generated from the declarations in `packages/remoting/src/protocol/commands` by `npm run docs`. Do not edit.',
    '',
    'Frames are those of Apache RocketMQ: `int32` length of what follows, one byte serialize type (0 JSON, 1 ROCKETMQ, 2 msgpack between',
    'our own ends), three bytes header length, header, body. The fields below travel as text in the header’s `extFields`; unknown fields',
    'are ignored. Codes above 32767 travel with JSON headers only. `true or false` is what Java makes of it: only "true", in any case, is true.',
    '',
    `${commands.length} requests:`,
    '',
    '| code | name | answered by | what it does |',
    '|---:|---|---|---|',
    ...commands.map((c) => `| ${c.code} | [${c.name}](${anchor(c)}) | ${serversOf(c)} | ${c.summary} |`),
    '',
    ...commands.flatMap(section),
  ].join('\n')
}
