import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { errorsPage } from '../../../../scripts/docs/errors.ts'
import { protocolPage } from '../../../../scripts/docs/protocol.ts'

const committed = (file: string): string => readFileSync(new URL(`../../../../docs/${file}`, import.meta.url), 'utf8')

test.each([
  ['protocol.md', protocolPage],
  ['errors.md', errorsPage],
])('docs/%s says what the code says (if not: npm run docs)', (file, render) => {
  expect(render()).toBe(committed(file))
})
