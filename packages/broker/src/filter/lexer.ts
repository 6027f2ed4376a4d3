import { SqlError, quoted } from './sql-error.ts'

export type TokenKind = 'end' | 'name' | 'word' | 'text' | 'whole' | 'decimal' | 'symbol'

export interface Token {
  readonly kind: TokenKind
  /** As written; words in capitals. */
  readonly text: string
  readonly at: number
}

const WORDS: ReadonlySet<string> = new Set('NOT AND OR BETWEEN IN TRUE FALSE NULL IS CONTAINS STARTSWITH ENDSWITH'.split(' '))

/** What people write who know other dialects, and what RocketMQ's has instead. */
const INSTEAD: Readonly<Record<string, string>> = {
  LIKE: 'use CONTAINS, STARTSWITH or ENDSWITH',
  '!=': 'write <>',
  '==': 'write =',
  '&&': 'write AND',
  '||': 'write OR',
  '"': 'texts stand in single quotes',
  '`': 'names stand without quotes',
  '.': 'names consist of letters, digits, _ and $',
}

const BLANK = /[ \t\n\r\f]+/y
const NAME = /[A-Za-z_$][A-Za-z0-9_$]*/y
const DECIMAL = /(?:\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+/y
const WHOLE = /0|[1-9]\d*[lL]?/y
const TEXT = /'[^']*(?:''[^']*)*'/y
const SYMBOL = /<>|<=|>=|[<>=(),+-]/y

/** The tokens of RocketMQ 5.3 `SelectorParser.jj`, one at a time. Each character is looked at a bounded number of times. */
export class Lexer {
  readonly source: string
  current: Token
  #at = 0

  constructor(source: string) {
    this.source = source
    this.current = this.#scan()
  }

  advance(): Token {
    const token = this.current
    this.current = this.#scan()
    return token
  }

  fail(token: Token, why: string): never {
    throw new SqlError(this.source, token.at, token.text, why)
  }

  /** "found X", with a hint when X is known from another dialect. */
  unexpected(token: Token, expected: string): never {
    const hint = this.#hintAt(token.at)
    this.fail(token, `found ${quoted(token.text)}, expected ${expected}${hint === undefined ? '' : `; ${hint}`}`)
  }

  /** What is left is a remark without a line end, which RocketMQ reads as two minus signs behind the expression. */
  get isTrailingComment(): boolean {
    return this.source.startsWith('--', this.current.at)
  }

  #hintAt(at: number): string | undefined {
    const word = this.#match(NAME, at)?.toUpperCase()
    return INSTEAD[word ?? ''] ?? INSTEAD[this.source.slice(at, at + 2)] ?? INSTEAD[this.source.charAt(at)]
  }

  #scan(): Token {
    this.#skip()
    const at = this.#at
    if (at >= this.source.length) return { kind: 'end', text: '', at }
    const name = this.#match(NAME, at)
    if (name !== undefined) {
      const word = name.toUpperCase()
      return WORDS.has(word) ? this.#token('word', word, at) : this.#token('name', name, at)
    }
    const decimal = this.#match(DECIMAL, at)
    if (decimal !== undefined) return this.#token('decimal', decimal, at)
    const whole = this.#match(WHOLE, at)
    if (whole !== undefined) return this.#token('whole', whole, at)
    const symbol = this.#match(SYMBOL, at)
    if (symbol !== undefined) return this.#token('symbol', symbol, at)
    const text = this.#match(TEXT, at)
    if (text !== undefined) return this.#token('text', text, at)
    return this.#stray(at)
  }

  #stray(at: number): never {
    const character = String.fromCodePoint(this.source.codePointAt(at) as number)
    const token: Token = { kind: 'symbol', text: character, at }
    if (character === "'") this.fail(token, 'the text that starts here has no closing quote')
    if (this.source.startsWith('/*', at)) this.fail(token, 'the remark that starts here has no closing */')
    const hint = this.#hintAt(at)
    this.fail(token, `${quoted(character)} has no meaning in a filter expression${hint === undefined ? '' : `; ${hint}`}`)
  }

  #token(kind: TokenKind, text: string, at: number): Token {
    this.#at = at + text.length
    return { kind, text, at }
  }

  #match(pattern: RegExp, at: number): string | undefined {
    pattern.lastIndex = at
    return pattern.exec(this.source)?.[0]
  }

  /** Blanks and remarks: `-- …` up to a line end that must be there, and `/* … *\/`. */
  #skip(): void {
    for (;;) {
      this.#at += this.#match(BLANK, this.#at)?.length ?? 0
      const end = this.source.startsWith('--', this.#at) ? this.#lineEnd() : this.#blockEnd()
      if (end < 0) return
      this.#at = end
    }
  }

  #lineEnd(): number {
    for (let i = this.#at + 2; i < this.source.length; i++) {
      const character = this.source.charCodeAt(i)
      if (character === 10 || character === 13) return i + 1
    }
    return -1
  }

  #blockEnd(): number {
    if (!this.source.startsWith('/*', this.#at)) return -1
    const close = this.source.indexOf('*/', this.#at + 2)
    return close < 0 ? -1 : close + 2
  }
}
