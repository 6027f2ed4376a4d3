/**
 * Configuration is data, declared once per server: the property's name is Apache RocketMQ's, and parsing, the checks, the hints for
 * misspelt names, `-p` and docs/config.md follow from the declaration.
 */
export interface ConfigField<T> {
  readonly kind: 'text' | 'path' | 'whole' | 'decimal' | 'flag' | 'choice'
  readonly default: T
  /** One sentence for docs/config.md. */
  readonly meaning: string
  /** ms, s, bytes, hours, … */
  readonly unit?: string
  readonly min?: number
  readonly max?: number
  readonly values?: readonly string[]
  /** What a text must look like, and how to say so: "hours from 0 to 23, separated by ;". */
  readonly form?: { readonly pattern: RegExp; readonly allowed: string }
  /** A change at run time (UPDATE_BROKER_CONFIG, UPDATE_NAMESRV_CONFIG) is refused. */
  readonly fixed?: boolean
}

type FieldOptions<T> = Pick<ConfigField<T>, 'default' | 'meaning'> & Partial<Pick<ConfigField<T>, 'unit' | 'fixed'>>
type NumberOptions = FieldOptions<number> & { readonly min?: number; readonly max?: number }

const text = (options: FieldOptions<string> & Pick<ConfigField<string>, 'form'>): ConfigField<string> => ({ kind: 'text', ...options })
/** A file or folder; a leading `~` stands for the home folder. */
const path = (options: FieldOptions<string>): ConfigField<string> => ({ kind: 'path', ...options })
const whole = (options: NumberOptions): ConfigField<number> => ({ kind: 'whole', min: 0, ...options })
const decimal = (options: NumberOptions): ConfigField<number> => ({ kind: 'decimal', ...options })
const flag = (options: FieldOptions<boolean>): ConfigField<boolean> => ({ kind: 'flag', ...options })
const choice = <const V extends readonly string[]>(values: V, options: FieldOptions<V[number]>): ConfigField<V[number]> => ({
  kind: 'choice',
  values,
  ...options,
})

/** How a key is declared: `listenPort: setting.whole({ default: 9876, max: 65535, meaning: '…' })`. */
export const setting = { text, path, whole, decimal, flag, choice }

// biome-ignore lint: the variance of the default needs any here
export type ConfigFields = Readonly<Record<string, ConfigField<any>>>
export type ConfigValues<F extends ConfigFields> = { readonly [K in keyof F]: F[K] extends ConfigField<infer T> ? T : never }
/** The values of a definition: `type BrokerConfig = ConfigOf<typeof BROKER_CONFIG>`. */
export type ConfigOf<D> = D extends ConfigDefinition<infer F> ? ConfigValues<F> : never

export interface ConfigProblem {
  readonly name: string
  readonly value: string
  /** What is allowed, as the end of a sentence: "a whole number from 0 to 65535". */
  readonly allowed: string
  /** The whole sentence. */
  readonly message: string
}

export interface UnknownKey {
  readonly name: string
  /** The known key that it resembles. */
  readonly nearest: string | undefined
  readonly message: string
}

export interface ParsedConfig<F extends ConfigFields> {
  /** Frozen. A field with a problem has its default. */
  readonly config: ConfigValues<F>
  /** Bad values: a server must not start with one. */
  readonly problems: readonly ConfigProblem[]
  /** Warned of, never fatal: one file often serves several servers. */
  readonly unknownKeys: readonly UnknownKey[]
  /** Keys of Apache's that are accepted but change nothing here, because what they tune does not exist. */
  readonly withoutEffect: readonly string[]
}

export type ConfigEntries = Readonly<Record<string, string>> | Iterable<readonly [string, string]>

export interface ConfigDefinition<F extends ConfigFields> {
  readonly fields: F
  readonly defaults: ConfigValues<F>
  parse(entries: ConfigEntries, options?: { readonly home?: string; readonly base?: ConfigValues<F> }): ParsedConfig<F>
  /** Every key with its value, as a `.properties` text: what `-p` prints. */
  effectiveText(config: ConfigValues<F>): string
  /** A table for docs/config.md. */
  markdown(): string
}

/** Declares a server's configuration. `withoutEffect` lists Apache's keys that are accepted silently. */
export function defineConfig<const F extends ConfigFields>(
  fields: F,
  options: { readonly withoutEffect?: readonly string[] } = {},
): ConfigDefinition<F> {
  const inert = new Set(options.withoutEffect)
  const known = [...Object.keys(fields), ...inert]
  const defaults = Object.freeze(Object.fromEntries(Object.entries(fields).map(([name, f]) => [name, f.default]))) as ConfigValues<F>
  return {
    fields,
    defaults,
    parse(entries, { home, base = defaults } = {}) {
      const values: Record<string, unknown> = { ...base }
      const problems: ConfigProblem[] = []
      const unknownKeys: UnknownKey[] = []
      const withoutEffect: string[] = []
      const set = (name: string, raw: string): void => {
        const field = Object.hasOwn(fields, name) ? fields[name] : undefined
        if (field !== undefined) {
          const value = parseValue(field, raw.trim())
          if (value === undefined) problems.push(problem(name, raw.trim(), field))
          else values[name] = value
        } else if (inert.has(name)) withoutEffect.push(name)
        else unknownKeys.push(unknownKey(name, known))
      }
      for (const [name, raw] of isIterable(entries) ? entries : Object.entries(entries)) set(name.trim(), raw)
      if (home !== undefined) expandHome(fields, values, home)
      return { config: Object.freeze(values) as ConfigValues<F>, problems, unknownKeys, withoutEffect }
    },
    effectiveText: (config) =>
      Object.keys(fields)
        .map((name) => `${name}=${String(config[name])}\n`)
        .join(''),
    markdown: () => markdownTable(fields, [...inert]),
  }
}

const isIterable = (entries: ConfigEntries): entries is Iterable<readonly [string, string]> => Symbol.iterator in entries

function parseValue(field: ConfigField<unknown>, raw: string): unknown {
  switch (field.kind) {
    case 'text':
      return field.form === undefined || field.form.pattern.test(raw) ? raw : undefined
    case 'path':
      return raw
    case 'flag':
      return /^true$/i.test(raw) ? true : /^false$/i.test(raw) ? false : undefined
    case 'choice':
      return field.values?.find((value) => value.toLowerCase() === raw.toLowerCase())
    case 'whole':
    case 'decimal': {
      const value = raw === '' ? Number.NaN : Number(raw)
      const isRight = field.kind === 'whole' ? /^[+-]?\d+$/.test(raw) && Number.isSafeInteger(value) : Number.isFinite(value)
      return isRight && value >= (field.min ?? -Infinity) && value <= (field.max ?? Infinity) ? value : undefined
    }
  }
}

function allowedValues(field: ConfigField<unknown>): string {
  switch (field.kind) {
    case 'text':
      return field.form?.allowed ?? 'a text'
    case 'path':
      return 'a path'
    case 'flag':
      return 'true or false'
    case 'choice':
      return `one of ${field.values?.join(', ')}`
    case 'whole':
    case 'decimal': {
      const kind = field.kind === 'whole' ? 'a whole number' : 'a number'
      const from = field.min === undefined ? '' : ` from ${field.min}`
      return `${kind}${from}${field.max === undefined ? '' : ` to ${field.max}`}${field.unit === undefined ? '' : ` (${field.unit})`}`
    }
  }
}

function problem(name: string, value: string, field: ConfigField<unknown>): ConfigProblem {
  const allowed = allowedValues(field)
  return {
    name,
    value,
    allowed,
    message: `${name}=${value}: it must be ${allowed}; the default is ${field.default === '' ? 'empty' : String(field.default)}`,
  }
}

function unknownKey(name: string, known: readonly string[]): UnknownKey {
  const nearest = nearestName(name, known)
  const hint = nearest === undefined ? '' : `; did you mean ${nearest}?`
  return { name, nearest, message: `the configuration key ${name} is not known and has no effect${hint}` }
}

/** The name with the fewest edits (insert, delete, replace, swap of neighbours; case counts nothing), if they are few enough to be a slip. */
export function nearestName(name: string, known: Iterable<string>): string | undefined {
  let best: string | undefined
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1
  if (name.length > 128) return undefined
  for (const candidate of known) {
    if (Math.abs(candidate.length - name.length) >= bestDistance) continue
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase())
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance]
  }
  return best
}

function editDistance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replace = (last[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      let cost = Math.min((last[j] as number) + 1, (row[j - 1] as number) + 1, replace)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, (beforeLast[j - 2] as number) + 1)
      row.push(cost)
    }
    beforeLast = last
    last = row
  }
  return last[b.length] as number
}

function expandHome(fields: ConfigFields, values: Record<string, unknown>, home: string): void {
  for (const [name, field] of Object.entries(fields)) {
    const value = values[name]
    if (field.kind === 'path' && typeof value === 'string' && /^~(?=\/|$)/.test(value)) values[name] = home + value.slice(1)
  }
}

function markdownTable(fields: ConfigFields, inert: readonly string[]): string {
  const cell = (content: string) => content.replaceAll('|', '\\|')
  const rows = Object.entries(fields).map(([name, field]) => {
    const shown = field.default === '' ? '' : `\`${cell(String(field.default))}\``
    return `| \`${name}\` | ${cell(allowedValues(field))} | ${shown} | ${cell(field.meaning)} |`
  })
  const table = ['| Key | Value | Default | Meaning |', '|---|---|---|---|', ...rows].join('\n')
  const sentence = 'Accepted without effect, because what they tune does not exist here'
  return inert.length === 0 ? `${table}\n` : `${table}\n\n${sentence}: ${inert.map((name) => `\`${name}\``).join(', ')}.\n`
}
