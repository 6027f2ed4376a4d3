import { mkdirSync, writeFileSync } from 'node:fs'
import { PAGES } from './docs/pages.ts'

const folder = new URL('../docs/', import.meta.url)
mkdirSync(folder, { recursive: true })
for (const [file, render] of Object.entries(PAGES)) {
  writeFileSync(new URL(file, folder), render())
  console.log(`wrote docs/${file}`)
}
