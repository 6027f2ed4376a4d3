/** Below so many comparisons the engine's own search, which is quick but may need text × pattern, is left to it. */
const ENGINE_STEPS = 65_536

/** Whether a text has `pattern` in it, in time linear in both whatever they are (Knuth, Morris, Pratt). */
export function finder(pattern: string): (text: string) => boolean {
  let table: Int32Array | undefined
  return (text) => {
    if (text.length < pattern.length) return false
    if (pattern.length * text.length <= ENGINE_STEPS) return text.includes(pattern)
    table ??= failures(pattern)
    return search(text, pattern, table)
  }
}

function failures(pattern: string): Int32Array {
  const table = new Int32Array(pattern.length)
  let matched = 0
  for (let i = 1; i < pattern.length; i++) {
    while (matched > 0 && pattern.charCodeAt(i) !== pattern.charCodeAt(matched)) matched = table[matched - 1] as number
    if (pattern.charCodeAt(i) === pattern.charCodeAt(matched)) matched++
    table[i] = matched
  }
  return table
}

function search(text: string, pattern: string, table: Int32Array): boolean {
  let matched = 0
  for (let i = 0; i < text.length; i++) {
    while (matched > 0 && text.charCodeAt(i) !== pattern.charCodeAt(matched)) matched = table[matched - 1] as number
    if (text.charCodeAt(i) === pattern.charCodeAt(matched)) matched++
    if (matched === pattern.length) return true
  }
  return false
}
