import { finder } from './find-text.ts'
import { Lexer } from './lexer.ts'
import type { Token } from './lexer.ts'
import * as make from './operands.ts'
import type { Operand, Order, Test } from './operands.ts'
import { SqlError } from './sql-error.ts'
import { isLong } from './values.ts'

/** Bounds of one expression. Apache has none. */
export const SQL_LIMITS = Object.freeze({ characters: 16_384, nesting: 200 })

export interface ParsedSql {
  readonly test: Test
  /** The properties that it reads, by slot. */
  readonly names: readonly string[]
  /** What one evaluation costs at most, in comparisons. */
  readonly comparisons: number
}

/** Reads an expression in one pass and makes its test (the grammar of RocketMQ 5.3 `SelectorParser.jj`). Throws SqlError. */
export function parseSql(source: string): ParsedSql {
  if (source.length > SQL_LIMITS.characters) {
    throw new SqlError(source, 0, '', `the expression has ${source.length} characters, the most is ${SQL_LIMITS.characters}; shorten it`)
  }
  return new Parser(source).parse()
}

const OPERAND = 'a property, a number, a text in single quotes, TRUE, FALSE, NULL, NOT or ('
const ORDERS: ReadonlySet<string> = new Set(['<', '<=', '>', '>='])
/** A search through a long text costs as much as so many comparisons. */
const SEARCH_COMPARISONS = 15
const TEXT_WORDS: ReadonlySet<string> = new Set(['CONTAINS', 'STARTSWITH', 'ENDSWITH'])

class Parser {
  readonly #lexer: Lexer
  readonly #slots = new Map<string, number>()
  #comparisons = 0
  #nesting = 0

  constructor(source: string) {
    this.#lexer = new Lexer(source)
  }

  parse(): ParsedSql {
    const test = make.asTest(this.#lexer, this.#or())
    const { current } = this.#lexer
    // Apache stops reading here without a word: `a LIKE 'x'` would become `a`, and `a = 1 AN b = 2` half of what was meant.
    if (current.kind !== 'end' && !this.#lexer.isTrailingComment) this.#lexer.unexpected(current, 'AND, OR, a comparison or the end')
    return { test, names: [...this.#slots.keys()], comparisons: this.#comparisons }
  }

  #or(): Operand {
    return this.#chain('OR', make.anyOf, () => this.#chain('AND', make.allOf, () => this.#equality()))
  }

  #chain(word: string, join: (tests: Test[]) => Test, next: () => Operand): Operand {
    const first = next()
    if (!this.#isWord(word)) return first
    const tests = [make.asTest(this.#lexer, first)]
    let { depth } = first
    while (this.#take(word)) {
      const operand = next()
      tests.push(make.asTest(this.#lexer, operand))
      depth = Math.max(depth, operand.depth)
    }
    return this.#condition(join(tests), depth, first.token)
  }

  #equality(): Operand {
    const lexer = this.#lexer
    let left = this.#comparison()
    for (;;) {
      if (this.#take('=')) {
        const right = this.#comparison()
        left = this.#condition(make.equal(lexer, left, right), Math.max(left.depth, right.depth), left.token)
      } else if (this.#take('<>')) {
        const right = this.#comparison()
        left = this.#condition(make.not(make.equal(lexer, left, right)), Math.max(left.depth, right.depth), left.token)
      } else if (this.#take('IS')) {
        const isNot = this.#take('NOT')
        if (!this.#take('NULL')) lexer.unexpected(lexer.current, isNot ? 'NULL' : 'NULL or NOT NULL')
        const test = make.isNull(left)
        left = this.#condition(isNot ? make.not(test) : test, left.depth, left.token)
      } else return left
    }
  }

  #comparison(): Operand {
    let left = this.#unary()
    for (;;) {
      const { kind, text } = this.#lexer.current
      if (kind === 'symbol' && ORDERS.has(text)) {
        this.#lexer.advance()
        const right = this.#unary()
        left = this.#condition(make.ordered(this.#lexer, text as Order, left, right), Math.max(left.depth, right.depth), left.token)
        continue
      }
      const isNot = this.#take('NOT')
      const next = this.#wordComparison(left, isNot)
      if (next === undefined) {
        if (isNot) this.#lexer.unexpected(this.#lexer.current, 'BETWEEN, IN, CONTAINS, STARTSWITH or ENDSWITH')
        return left
      }
      left = next
    }
  }

  #wordComparison(left: Operand, isNot: boolean): Operand | undefined {
    const lexer = this.#lexer
    const word = lexer.current.kind === 'word' ? lexer.current.text : ''
    if (TEXT_WORDS.has(word)) {
      lexer.advance()
      const text = this.#text()
      this.#comparisons += word === 'CONTAINS' ? SEARCH_COMPARISONS : 0
      return this.#condition(make.textTest(left, textSearch(word, text), text, isNot), left.depth, left.token)
    }
    if (this.#take('BETWEEN')) {
      const low = this.#unary()
      this.#expect('AND')
      const high = this.#unary()
      const test = (isNot ? make.notBetween : make.between)(lexer, left, low, high)
      return this.#condition(test, 1 + Math.max(left.depth, low.depth, high.depth), left.token)
    }
    if (this.#take('IN')) {
      this.#expect('(')
      const texts = [this.#text()]
      while (this.#take(',')) texts.push(this.#text())
      this.#expect(')')
      return this.#condition(make.oneOf(lexer, left, texts, isNot), left.depth, left.token)
    }
    return undefined
  }

  #unary(): Operand {
    const token = this.#lexer.current
    if (this.#take('+')) return this.#nested(token, () => this.#unary())
    if (this.#take('-')) return this.#nested(token, () => make.negate(this.#unary(), token))
    if (!this.#take('NOT')) return this.#primary()
    return this.#nested(token, () => {
      const operand = this.#unary()
      return this.#condition(make.not(make.asTest(this.#lexer, operand)), operand.depth, operand.token)
    })
  }

  #primary(): Operand {
    const lexer = this.#lexer
    const token = lexer.current
    if (this.#take('(')) {
      return this.#nested(token, () => {
        const inner = this.#or()
        this.#expect(')')
        return inner
      })
    }
    if (token.kind === 'word' && (token.text === 'TRUE' || token.text === 'FALSE')) {
      lexer.advance()
      return make.literal(token.text === 'TRUE', token)
    }
    if (this.#take('NULL')) return make.literal(null, token)
    switch (token.kind) {
      case 'name':
        lexer.advance()
        return { kind: 'property', token, depth: 1, slot: this.#slotOf(token.text) }
      case 'text':
        return { kind: 'constant', token, depth: 1, value: this.#text() }
      case 'whole':
        lexer.advance()
        return this.#whole(token)
      case 'decimal':
        lexer.advance()
        return this.#decimal(token)
      default:
        return lexer.unexpected(token, OPERAND)
    }
  }

  #whole(token: Token): Operand {
    const digits = /[lL]$/.test(token.text) ? token.text.slice(0, -1) : token.text
    // 19 digits hold every long.
    const value = digits.length > 19 ? undefined : BigInt(digits)
    if (value === undefined || !isLong(value))
      this.#lexer.fail(token, `${token.text} is above the largest whole number, 9223372036854775807`)
    return make.wholeConstant(value, token)
  }

  /** RocketMQ 5.3 `ConstantExpression#createFloat`, which refuses 0.0, too. */
  #decimal(token: Token): Operand {
    const value = Number(token.text)
    if (value === Number.POSITIVE_INFINITY || value === 0) {
      const limits = 'decimal numbers lie between 4.9E-324 and 1.8E308'
      this.#lexer.fail(
        token,
        `${token.text} is out of range: ${limits}${value === 0 ? '; write 0, or 1E-300 where values are decimals' : ''}`,
      )
    }
    return { kind: 'constant', token, depth: 1, value }
  }

  #slotOf(name: string): number {
    let slot = this.#slots.get(name)
    if (slot === undefined) this.#slots.set(name, (slot = this.#slots.size))
    return slot
  }

  #text(): string {
    const token = this.#lexer.current
    if (token.kind !== 'text') this.#lexer.unexpected(token, 'a text in single quotes')
    this.#lexer.advance()
    return token.text.slice(1, -1).replaceAll("''", "'")
  }

  #condition(test: Test, depth: number, token: Token): Operand {
    if (depth >= SQL_LIMITS.nesting) this.#tooDeep(token)
    this.#comparisons++
    return { kind: 'condition', token, depth: depth + 1, test }
  }

  #nested(token: Token, read: () => Operand): Operand {
    if (++this.#nesting > SQL_LIMITS.nesting) this.#tooDeep(token)
    const operand = read()
    this.#nesting--
    return operand
  }

  #tooDeep(token: Token): never {
    this.#lexer.fail(token, `the expression nests more than ${SQL_LIMITS.nesting} levels; write it flatter`)
  }

  #isWord(text: string): boolean {
    const { kind, text: current } = this.#lexer.current
    return (kind === 'word' || kind === 'symbol') && current === text
  }

  #take(text: string): boolean {
    if (!this.#isWord(text)) return false
    this.#lexer.advance()
    return true
  }

  #expect(text: string): void {
    if (!this.#take(text)) this.#lexer.unexpected(this.#lexer.current, text)
  }
}

function textSearch(word: string, text: string): (value: string) => boolean {
  if (word === 'STARTSWITH') return (value) => value.startsWith(text)
  if (word === 'ENDSWITH') return (value) => value.endsWith(text)
  return finder(text)
}
