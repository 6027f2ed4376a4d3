/** Appends with synchronous flush, one message after another, and prints each answer as JSON; ends some messages after the first refusal. */
import { writeSync } from 'node:fs'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { openMessageStore } from '../../src/index.ts'
import type { AppendResult } from '../../src/index.ts'
import { message, OPTIONS, textOf } from './fixture.ts'

const [rootDirectory = ''] = process.argv.slice(2)
const store = await openMessageStore(nodeRuntime(), { ...OPTIONS, rootDirectory, segmentBytes: 4 * 1024 * 1024, flush: 'sync' })
let refused = 0
for (let n = 0; n < 2_000 && refused < 5; n++) {
  const result = await new Promise<AppendResult>((resolve) => store.append(message({ text: textOf(n) }), true, resolve))
  if (result.status !== 'ok') refused++
  writeSync(1, `${JSON.stringify({ n, ...result })}\n`)
}
process.exit(0)
