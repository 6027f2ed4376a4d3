import { readFileSync } from 'node:fs'

const lines = readFileSync(new URL('./golden/apache-5.5.0.txt', import.meta.url), 'utf8').split('\n')

const golden = new Map<string, Buffer>()
export const javaHashes: (readonly [text: string, hash: number])[] = []
for (const line of lines) {
  if (line === '' || line.startsWith('#')) continue
  const space = line.lastIndexOf(' ')
  const name = line.slice(0, space)
  if (name.startsWith('hash/')) javaHashes.push([name.slice(5), Number(line.slice(space + 1))])
  else golden.set(name, Buffer.from(line.slice(space + 1), 'hex'))
}

export const goldenNames = (prefix: string): string[] => [...golden.keys()].filter((name) => name.startsWith(prefix))

/** Bytes that Apache's own Java code wrote. */
export function apache(name: string): Buffer {
  const bytes = golden.get(name)
  if (bytes === undefined) throw new Error(`no golden bytes called ${name}`)
  return Buffer.from(bytes)
}
