import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { configPage } from '../../../scripts/docs/config.ts'

it('docs/config.md says what the declarations say (if not: npm run docs)', () => {
  expect(configPage()).toBe(readFileSync(new URL('../../../docs/config.md', import.meta.url), 'utf8'))
})
