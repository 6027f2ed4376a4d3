const SHOWN_CHARACTERS = 40

/** An expression that cannot be used: where, at which token, and why. */
export class SqlError extends Error {
  readonly line: number
  readonly column: number
  readonly token: string

  constructor(source: string, at: number, token: string, why: string) {
    const before = source.slice(0, at).split(/\r\n|\r|\n/)
    const line = before.length
    const column = (before.at(-1) as string).length + 1
    super(`line ${line}, column ${column}: ${why}`)
    this.name = 'SqlError'
    this.line = line
    this.column = column
    this.token = token
  }
}

/** A token as a message names it. */
export const quoted = (text: string): string =>
  text === '' ? 'the end' : JSON.stringify(text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text)
