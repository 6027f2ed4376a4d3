import { cliPage } from '@skylarkmq/tools'
import { configPage } from './config.ts'
import { errorsPage } from './errors.ts'
import { protocolPage } from './protocol.ts'

/** Pages that are generated: file under docs/ and its text. Tests hold the committed files equal. */
export const PAGES: Readonly<Record<string, () => string>> = {
  'cli.md': cliPage,
  'config.md': configPage,
  'errors.md': errorsPage,
  'protocol.md': protocolPage,
}
