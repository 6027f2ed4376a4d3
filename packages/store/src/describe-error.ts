/** An error of the disk for a person: errno, path, words. */
export function describeError(error: unknown): string {
  const { code, path, message } = error as { code?: unknown; path?: unknown; message?: unknown }
  const words = typeof message === 'string' ? message : String(error)
  return [code, path]
    .filter((part) => typeof part === 'string' && !words.includes(part))
    .concat(words)
    .join(' ')
}
