/** Every example is run as a reader would run it, and must say what it promises. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { startLocal } from '@skylarkmq/standalone'
import type { Local } from '@skylarkmq/standalone'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const PROMISES: Readonly<Record<string, RegExp>> = {
  '01-send.ts': /stored at offset \d+ of queue \d: [0-9A-F]{32}\nstored a message with a tag.*\nsent one without waiting/,
  '02-consume.ts': /received a and c; the dull one stayed where it is/,
  '03-batch.ts': /stored 1000 messages in \d+ queue/,
  '04-ordered.ts': /anna: open, deposit, withdraw, close\nben: open, deposit, withdraw, close\nchris: open, deposit, withdraw, close/,
  '05-delay.ts': /"wake up" came after about a second/,
  '06-retry.ts':
    /attempt 1 at "a broken payment" fails\n(.*\n)*attempt 2 at "a broken payment" fails\n(.*\n)*dead letter: "a broken payment"/,
  '07-broadcast.ts': /left got "the topic exists"\nright got "the topic exists"/,
  '08-many-at-once.ts': /resized 40 images, never more than 8 at a time/,
  '09-pull.ts': /read first, second, third/,
  '10-transaction.ts': /order 1: commit\norder 2: rollback\norder 3: commit\ndelivered: order 1, order 3, the till is open/,
  '11-request-reply.ts': /2 \+ 3 = 5\n40 \+ 2 = 42/,
  '12-timer-recall.ts':
    /taken back: everything is free\ntaken back: happy birthday\ndelivered: the sale begins, at its time\n.*recall failed, timestamp invalid: /,
  '13-order-per-key.ts': /several customers at once\nanna: ordered, paid, received\n(.*\n){3}emil: ordered, paid, received/,
  '14-extend.ts': /^encoding Metropolis, with a deadline\nencoded at attempt 1$/m,
  '15-schema.ts': /to the dead letters: \{"id":"b","total":"a lot"\} \(must be a number, found string\)\n(.*\n)*the valid orders make 20/,
  '16-trace-context.ts': /one trace: true\nshop sends > consumes orders > office sends > consumes bills/,
  '17-stalled.ts': /stalled by the handler at offset 0, 1 message waits\n(.*\n)*moving again/,
  '18-commonjs.cjs': /^from CommonJS\ntrue MESSAGE_ILLEGAL$/m,
  '19-message-trace.ts': /sent by shop: true\nwith office, attempt 1\nfailed\nwith office, attempt 2\nsuccess/,
  '20-namespace.ts': /of red, topic orders\nof blue, topic orders\ntwo topics for the broker/,
  '21-pop.ts': /Anna delivered 30 letters; some had been with somebody else before/,
  'earthquakes.ts': /Inge left;.*\n1707 events: \d+ weak, \d+ felt, \d+ strong; 0 differ from the file/,
}

const folder = import.meta.dirname
let local: Local
beforeAll(async () => {
  local = await startLocal(nodeRuntime(), { storePath: mkdtempSync(join(tmpdir(), 'skylark-examples-')) })
})
afterAll(() => local?.close())

describe('examples', () => {
  test('each one is short and is run here', () => {
    const files = readdirSync(folder).filter((name) => /\.(ts|cjs)$/.test(name) && !name.endsWith('.test.ts') && name !== 'connect.ts')
    expect(files.sort()).toEqual(Object.keys(PROMISES).sort())
    for (const file of files) expect(readFileSync(join(folder, file), 'utf8').split('\n').length, file).toBeLessThanOrEqual(60)
  })

  test.each(Object.entries(PROMISES))('%s', { concurrent: true }, async (name, promise) => {
    // The earthquakes bring a cluster of their own, as `npm run demo` does.
    const { NAMESRV_ADDR: _, ...env } = process.env
    if (name !== 'earthquakes.ts') env.NAMESRV_ADDR = local.namesrvAddr
    // CommonJS gets what is built, as a stranger's would.
    const args = name.endsWith('.cjs') ? [join(folder, name)] : ['--conditions=source', '--import', 'tsx', join(folder, name)]
    const { stdout } = await promisify(execFile)(process.execPath, args, { env, timeout: 90_000 })
    expect(stdout).toMatch(promise)
  })
})
