import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'

/** One file of the repository. */
export interface SourceFile {
  /** From the root, with forward slashes. */
  readonly path: string
  readonly text: string
  /** `text` with comments and the insides of strings blanked out; same length, same lines. */
  readonly code: string
  readonly imports: readonly Import[]
}

export interface Import {
  readonly specifier: string
  readonly line: number
  /** Leaves no trace when the file runs. */
  readonly isTypeOnly: boolean
  /** Loaded when needed, by `import()`. */
  readonly isLazy: boolean
}

const FOLDERS = ['packages', 'tidy', 'scripts', 'examples', 'interop', 'benchmarks', 'distribution', 'simulator']
// What `assembly` holds is another language.
const NOT_OURS = new Set(['node_modules', 'dist', 'golden', 'gen', 'target', '.cache', 'assembly'])

const walk = (folder: string): string[] =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return NOT_OURS.has(entry.name) ? [] : walk(path)
    return /\.(ts|mts|mjs|cjs)$/.test(entry.name) ? [path] : []
  })

const BEFORE_REGEX = /(?:^|[(,=:[!&|?{};+\-*%<>~^]|\breturn|\btypeof|\bcase|=>)\s*$/

/** Blanks comments, strings and regular expressions. Small on purpose: it knows as much of the language as this repository uses. */
export const maskText = (text: string): string => {
  const out = text.split('')
  let at = 0
  const blank = (from: number, to: number): void => {
    for (let index = from; index < to; index++) if (out[index] !== '\n') out[index] = ' '
  }
  const skipTo = (end: string, from: number): number => {
    const found = text.indexOf(end, from)
    return found < 0 ? text.length : found
  }
  const quoted = (quote: string): void => {
    let end = at + 1
    while (end < text.length && text[end] !== quote && text[end] !== '\n') end += text[end] === '\\' ? 2 : 1
    blank(at + 1, Math.min(end, text.length))
    at = end + 1
  }
  const regex = (): void => {
    let end = at + 1
    let inClass = false
    while (end < text.length && text[end] !== '\n' && (inClass || text[end] !== '/')) {
      if (text[end] === '[') inClass = true
      else if (text[end] === ']') inClass = false
      end += text[end] === '\\' ? 2 : 1
    }
    blank(at + 1, end)
    at = end + 1
  }
  /** Code up to the brace that closes it (in a template) or the end of the text. */
  const code = (isInTemplate: boolean): void => {
    let depth = 0
    while (at < text.length) {
      const char = text[at] as string
      if (char === '/' && text[at + 1] === '/') {
        const end = skipTo('\n', at)
        blank(at, end)
        at = end
      } else if (char === '/' && text[at + 1] === '*') {
        const end = skipTo('*/', at + 2) + 2
        blank(at, end)
        at = end
      } else if (char === "'" || char === '"') quoted(char)
      else if (char === '`') template()
      else if (char === '/' && BEFORE_REGEX.test(out.slice(Math.max(0, at - 40), at).join(''))) regex()
      else {
        if (char === '{') depth++
        if (char === '}' && isInTemplate && depth-- === 0) return
        at++
      }
    }
  }
  const template = (): void => {
    at++
    while (at < text.length && text[at] !== '`') {
      if (text[at] === '$' && text[at + 1] === '{') {
        at += 2
        code(true)
        at++
      } else {
        const step = text[at] === '\\' ? 2 : 1
        blank(at, at + step)
        at += step
      }
    }
    at++
  }
  code(false)
  return out.join('')
}

const lineAt = (text: string, position: number): number => text.slice(0, position).split('\n').length

const STATIC_IMPORT = /(?:^|\n)[ \t]*(?:import|export)\s+(type\s+)?(?:[\w*\s{},$]+?\s+from\s+)?(['"])/g
const LAZY_IMPORT = /\b(?:import|require)\(\s*(['"])/g

export const parseImports = (text: string, code: string): Import[] => {
  const imports: Import[] = []
  const take = (match: RegExpMatchArray, quote: string, isTypeOnly: boolean, isLazy: boolean): void => {
    const start = (match.index as number) + match[0].length
    imports.push({ specifier: text.slice(start, text.indexOf(quote, start)), line: lineAt(text, start), isTypeOnly, isLazy })
  }
  for (const match of code.matchAll(STATIC_IMPORT)) take(match, match[2] as string, match[1] !== undefined, false)
  for (const match of code.matchAll(LAZY_IMPORT)) {
    // `import('…')` in a type position: `typeof import('x')` or `import('x').Name`.
    const isType =
      /typeof\s+$/.test(code.slice(0, match.index)) ||
      /^['"]?\s*\)\.[A-Z]/.test(code.slice((match.index as number) + match[0].length).replace(/^\s*/, ''))
    take(match, match[1] as string, isType, true)
  }
  return imports
}

export const sourceFile = (path: string, text: string): SourceFile => {
  const code = maskText(text)
  return { path, text, code, imports: parseImports(text, code) }
}

export const readSources = (root: string): SourceFile[] =>
  FOLDERS.flatMap((folder) => {
    try {
      return walk(join(root, folder))
    } catch {
      return []
    }
  })
    .sort()
    .map((path) => sourceFile(relative(root, path).split(sep).join('/'), readFileSync(path, 'utf8')))
