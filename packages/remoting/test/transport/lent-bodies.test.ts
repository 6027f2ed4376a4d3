import { expect, test } from 'vitest'
import { route } from '../../src/index.ts'
import { FLAG_ONEWAY } from '../../src/protocol/index.ts'
import { Echo, LANE, rawPeer, requestBytes, stage } from './harness.ts'

test('a lent body comes back once, whether its answer left, was never asked for, was too long, or found nobody', async () => {
  const back: string[] = []
  const waiting: (() => void)[] = []
  const lends = route(Echo, LANE, ({ text }) => {
    const body = Buffer.alloc(text === 'too long' ? 17 * 1024 * 1024 : 40_000)
    const reply = { code: 0, header: { text }, body, release: () => void back.push(text) }
    return text === 'late' ? new Promise<typeof reply>((resolve) => waiting.push(() => resolve(reply))) : reply
  })
  const at = await stage({ routes: [lends] })
  const peer = await rawPeer(at)
  const ask = (opaque: number, text: string, flag = 0) => requestBytes({ code: Echo.code, opaque, flag, ext: { text } })
  peer.send(Buffer.concat([ask(1, 'left'), ask(2, 'oneway', FLAG_ONEWAY), ask(3, 'too long'), ask(4, 'late')]))
  await at.runtime.world.settle()
  expect(back.toSorted()).toEqual(['left', 'oneway', 'too long'])
  peer.connection.destroy()
  await at.runtime.world.settle()
  for (const answer of waiting) answer()
  await at.runtime.world.settle()
  expect(back.slice(3)).toEqual(['late'])
})
