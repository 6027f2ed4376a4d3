/** docs/client.md: every snippet compiles as it stands there, and no option of the client is missing. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')
const page = readFileSync(join(root, 'docs/client.md'), 'utf8')

/** What snippets take for granted. */
const AMBIENT = `import type { AdminClient, Client, Producer, PushConsumer } from '@skylarkmq/client'
declare global {
  const client: Client
  const producer: Producer
  const consumer: PushConsumer
  const admin: AdminClient
}
`

test('every snippet compiles', () => {
  const snippets = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map((match) => match[1] as string)
  expect(snippets.length).toBeGreaterThan(10)
  const folder = mkdtempSync(join(import.meta.dirname, '.snippets-'))
  try {
    writeFileSync(join(folder, 'ambient.d.ts'), AMBIENT)
    for (const [i, snippet] of snippets.entries()) writeFileSync(join(folder, `snippet-${i}.ts`), `${snippet}\nexport {}\n`)
    const compilerOptions = { noEmit: true, composite: false, incremental: false, noUnusedLocals: false, noUnusedParameters: false }
    const tsconfig = { extends: '../../tsconfig.test.json', compilerOptions, include: ['*.ts'], references: [] }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(tsconfig))
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    let output = ''
    try {
      execFileSync(process.execPath, [tsc, '-p', folder], { encoding: 'utf8' })
    } catch (error) {
      output = String((error as { stdout?: string }).stdout)
    }
    expect(
      output.replace(/snippet-(\d+)\.ts/g, (_, i) => `snippet ${Number(i) + 1}, which begins ${snippets[Number(i)]?.split('\n')[0]}`),
    ).toBe('')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test.each([
  ['core/types.ts', 'ClientOptions'],
  ['core/types.ts', 'ClientTimeouts'],
  ['producer/types.ts', 'Message'],
  ['producer/types.ts', 'SendOptions'],
  ['producer/types.ts', 'ProducerOptions'],
  ['consumer/push-consumer.ts', 'PushConsumerOptions'],
  ['consumer/pull-consumer.ts', 'PullConsumerOptions'],
])('%s: every field of %s is described', (file, name) => {
  const source = readFileSync(join(root, 'packages/client/src', file), 'utf8')
  const body = new RegExp(`export interface ${name}(?:<[^{]*>)? \\{\n(.*?)^\\}`, 'ms').exec(source)?.[1] ?? ''
  const fields = [...body.matchAll(/^ {2}readonly (\w+)\??:/gm)].map((match) => match[1] as string)
  expect(fields.length).toBeGreaterThan(1)
  expect(fields.filter((field) => !page.includes(`\`${field}\``))).toEqual([])
})

test('every link leads somewhere', () => {
  const headings = [...page.matchAll(/^#+ (.*)$/gm)].map(
    (match) =>
      `#${(match[1] as string)
        .toLowerCase()
        .replace(/[^\w ]/g, '')
        .replace(/ /g, '-')}`,
  )
  for (const [, target = ''] of page.matchAll(/\]\((?!https:)([^)]+)\)/g)) {
    if (target.startsWith('#')) expect(headings).toContain(target)
    else expect(() => readFileSync(join(root, 'docs', target)), target).not.toThrow()
  }
})
