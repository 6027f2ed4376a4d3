/** Whatever request Apache's tools send, this server knows its name: it answers it, or says what it belongs to. */
import { expect, test } from 'vitest'
import { commandByCode, laterRequest } from '../../src/protocol/index.ts'

/** RocketMQ 5.5 `RequestCode`. */
const APACHE = `
10-15 17 18 21-23 25-43 45-47 60 61 100-106 200-217 219-225 300-325 326-329 343 345 351-355 361 370 400-402 513
901-908 1001-1013 2001-2004 3001-3010 5001 200050-200056 200074-200079 200151`

const codes = APACHE.trim()
  .split(/\s+/)
  .flatMap((range) => {
    const [from, to] = range.split('-').map(Number) as [number, number?]
    return Array.from({ length: (to ?? from) - from + 1 }, (_, i) => from + i)
  })

test.each(codes)('%i', (code) => {
  const isAnswered = commandByCode(code) !== undefined
  expect([isAnswered, laterRequest(code) !== undefined]).toEqual([isAnswered, !isAnswered])
})
