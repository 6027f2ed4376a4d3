/** What a parameter may be, by the placeholder of the command line's flag: `<n>`, `<bool>`, `<topic>` … The document says it, and what is asked is held to it. */
export interface ParameterKind {
  /** In the OpenAPI document. */
  readonly schema: Readonly<Record<string, unknown>>
  /** What is wrong with a value, as the end of a sentence; undefined when nothing is. */
  wrong(value: string): string | undefined
}

/** An address line holds 16 KiB: several of these, each character as twelve. */
const MOST_CHARACTERS = 1024
const NAME_CHARACTERS = 255
/** Queue ids, counts and offsets; a long of Java may be beyond it, no offset is. */
const MOST = Number.MAX_SAFE_INTEGER

const TOPIC_PATTERN = '^(?:%(?:RETRY|DLQ)%[%|a-zA-Z0-9_-]{1,120}|[%|a-zA-Z0-9_-]{1,127})$'
const GROUP_PATTERN = '^[%|a-zA-Z0-9_-]{1,120}$'

const words = (max: number, pattern?: string): ParameterKind => ({
  schema: { type: 'string', minLength: 1, maxLength: max, ...(pattern === undefined ? {} : { pattern }) },
  wrong(value) {
    if (value === '') return 'is empty; leave it out or give it a value'
    // As JSON Schema counts.
    const length = Array.from(value.slice(0, 2 * max + 2)).length
    if (length > max) return `has ${value.length > 2 * max ? value.length : length} characters; at most ${max} are read`
    if (pattern === undefined || new RegExp(pattern).test(value)) return undefined
    return `is ${JSON.stringify(value)}; names have letters, digits, %, |, _ and - only`
  },
})

const WHOLE: ParameterKind = {
  schema: { type: 'integer', minimum: 0, maximum: MOST },
  wrong: (value) =>
    /^\d{1,16}$/.test(value) && Number(value) <= MOST ? undefined : `is ${JSON.stringify(value)}; it must be a whole number`,
}

const YES_OR_NO: ParameterKind = {
  schema: { type: 'boolean' },
  wrong: (value) => (value === 'true' || value === 'false' ? undefined : `is ${JSON.stringify(value)}; it must be true or false`),
}

const PERMISSION: ParameterKind = {
  schema: { type: 'integer', enum: [2, 4, 6] },
  wrong: (value) => (/^[246]$/.test(value) ? undefined : `is ${JSON.stringify(value)}; it must be 2 (write), 4 (read) or 6 (both)`),
}

const KINDS: Readonly<Record<string, ParameterKind>> = {
  n: WHOLE,
  bool: YES_OR_NO,
  perm: PERMISSION,
  topic: words(127, TOPIC_PATTERN),
  group: words(120, GROUP_PATTERN),
  cluster: words(NAME_CHARACTERS),
  name: words(NAME_CHARACTERS),
}

const ANY_WORDS = words(MOST_CHARACTERS)

/** `-r, --readQueueNums <n>`. */
export const kindOf = (flags: string): ParameterKind => KINDS[/<(\w+)>/.exec(flags)?.[1] ?? ''] ?? ANY_WORDS
