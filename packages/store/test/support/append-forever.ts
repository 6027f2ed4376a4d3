/** Appends until it is killed, and prints what was acknowledged: `queueId queueOffset number`. Arguments: folder, flush. */
import { writeSync } from 'node:fs'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { openMessageStore } from '../../src/index.ts'
import { message, OPTIONS, textOf } from './fixture.ts'

const [rootDirectory = '', flush = 'async', from = '0'] = process.argv.slice(2)
const store = await openMessageStore(nodeRuntime(), {
  ...OPTIONS,
  rootDirectory,
  segmentBytes: 4 * 1024 * 1024,
  flush: flush === 'sync' ? 'sync' : 'async',
})
let number = Number(from)
let acknowledged = ''

function turn(): void {
  for (let i = 0; i < 32; i++) {
    const n = number++
    const queueId = n % 8
    store.append(message({ queueId, text: textOf(n) }), flush === 'sync', (result) => {
      if (result.status === 'ok') acknowledged += `${queueId} ${result.queueOffset} ${n}\n`
    })
  }
  store.commitTurn()
  if (acknowledged !== '') writeSync(1, acknowledged)
  acknowledged = ''
  setImmediate(turn)
}
turn()
