/**
 * Java's `.properties` format, which Apache RocketMQ's configuration files have (java.util.Properties#load): `=`, `:` or blanks
 * separate, `#` and `!` open comments, a line that ends in an odd number of backslashes goes on in the next, and `\uXXXX` is a character.
 */
export function parsePropertiesFile(text: string): Map<string, string> {
  const entries = new Map<string, string>()
  for (const line of logicalLines(text.startsWith('\uFEFF') ? text.slice(1) : text)) {
    const [key, value] = splitLine(line)
    entries.set(unescape(key), unescape(value))
  }
  return entries
}

/** The opposite: one `key=value` a line, escaped so that Java and `parsePropertiesFile` read the same back. */
export function formatPropertiesFile(entries: Iterable<readonly [string, string]>): string {
  let text = ''
  for (const [key, value] of entries) text += `${escape(key, true)}=${escape(value, false)}\n`
  return text
}

function* logicalLines(text: string): Generator<string> {
  let whole = ''
  let continued = false
  for (const raw of text.split(/\r\n|\r|\n/)) {
    const line = raw.replace(/^[ \t\f]+/, '')
    // A comment or an empty line ends nothing and starts nothing, but inside a continuation it is ordinary text.
    if (!continued && (line === '' || line[0] === '#' || line[0] === '!')) continue
    continued = endsInOddBackslashes(line)
    whole += continued ? line.slice(0, -1) : line
    if (continued) continue
    yield whole
    whole = ''
  }
  if (whole !== '') yield whole
}

function endsInOddBackslashes(line: string): boolean {
  let count = 0
  while (count < line.length && line[line.length - 1 - count] === '\\') count++
  return count % 2 === 1
}

function splitLine(line: string): [key: string, value: string] {
  let end = 0
  while (end < line.length && !'=: \t\f'.includes(line[end] as string)) end += line[end] === '\\' ? 2 : 1
  end = Math.min(end, line.length)
  const rest = line.slice(end).replace(/^[ \t\f]*[=:]?[ \t\f]*/, '')
  return [line.slice(0, end), rest]
}

const NAMED_ESCAPES: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', f: '\f' }

function unescape(text: string): string {
  if (!text.includes('\\')) return text
  return text.replace(/\\(?:u([0-9a-fA-F]{4})|([\s\S]|$))/g, (_, hex: string | undefined, character: string | undefined) =>
    hex === undefined ? (NAMED_ESCAPES[character ?? ''] ?? character ?? '') : String.fromCharCode(Number.parseInt(hex, 16)),
  )
}

const ESCAPED: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r', '\f': '\\f' }

function escape(text: string, isKey: boolean): string {
  return text
    .replace(/[\\\t\n\r\f]/g, (c) => ESCAPED[c] as string)
    .replace(isKey ? /[ =:#!]/g : /^ /, (c) => `\\${c}`)
    .replace(/[^\x20-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** A text with some values changed: comments, order and all other lines stay; what was not there is appended. */
export function updatePropertiesFile(text: string, changes: ReadonlyMap<string, string>): string {
  const left = new Map(changes)
  const kept: string[] = []
  for (const block of logicalBlocks(text)) {
    const key = [...parsePropertiesFile(block).keys()][0]
    const value = key === undefined ? undefined : changes.get(key)
    if (key === undefined || value === undefined) kept.push(block)
    else if (left.delete(key)) kept.push(formatPropertiesFile([[key, value]]))
  }
  const before = kept.join('')
  return (before === '' || before.endsWith('\n') ? before : `${before}\n`) + formatPropertiesFile(left)
}

/** The text cut so that each piece holds one entry at most, with its line ends. */
function* logicalBlocks(text: string): Generator<string> {
  let block = ''
  for (const line of text.match(/[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$/g) ?? []) {
    block += line
    const isComment = block === line && /^[ \t\f]*[#!]/.test(line)
    if (!isComment && endsInOddBackslashes(line.replace(/[\r\n]+$/, ''))) continue
    yield block
    block = ''
  }
  if (block !== '') yield block
}
