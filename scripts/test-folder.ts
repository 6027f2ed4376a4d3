/** Before and after a run of tests: what they, and whom they start, make among the system's temporary files goes when all are through. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export default function makeFolder(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'skylark-test-'))
  // `tmpdir()` answers with it from now on, also in the processes of tests and in those that they start.
  process.env['TMPDIR'] = folder
  return () => rmSync(folder, { recursive: true, force: true, maxRetries: 10 })
}
