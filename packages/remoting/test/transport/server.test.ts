import { describe, expect, it } from 'vitest'
import { route } from '../../src/index.ts'
import { FLAG_ONEWAY, ResponseCode, RocketError } from '../../src/protocol/index.ts'
import type { Stage } from './harness.ts'
import { countingNetwork, Echo, echoRoute, Hold, Holder, LANE, RawPeer, rawPeer, requestBytes, stage } from './harness.ts'
import { startRemotingServer } from '../../src/index.ts'
import { simRuntime } from '@skylarkmq/runtime/sim'

const echo = (opaque: number, text = `t${opaque}`): Buffer => requestBytes({ code: Echo.code, opaque, ext: { text } })
const hold = (opaque: number, flag = 0): Buffer => requestBytes({ code: Hold.code, opaque, flag, ext: { key: `k${opaque}` } })

const warnings = ({ runtime }: Stage): string[] =>
  runtime.world.lines.filter((line) => line.level === 'warn' || line.level === 'error').map((line) => line.sentence)

describe('requests and answers', () => {
  it('an answer carries the opaque, the header, the body and the language that every client knows', async () => {
    const at = await stage()
    const peer = await rawPeer(at)
    peer.send(requestBytes({ code: Echo.code, opaque: 77, ext: { text: 'hi' }, body: Buffer.from('abc') }))
    await at.runtime.world.settle()
    expect(peer.frames).toHaveLength(1)
    expect(peer.frames[0]).toMatchObject({ code: 0, opaque: 77, flag: 1, language: 'JAVA', ext: { text: 'hi' }, serializeType: 0 })
    expect(Buffer.from(peer.frames[0]?.body ?? []).toString()).toBe('abc')
  })

  it('a binary request gets a binary answer', async () => {
    const at = await stage()
    const peer = await rawPeer(at)
    peer.send(requestBytes({ code: Echo.code, opaque: 5, ext: { text: 'hi' }, serializeType: 1 }))
    await at.runtime.world.settle()
    expect(peer.frames[0]).toMatchObject({ opaque: 5, serializeType: 1, ext: { text: 'hi' } })
  })

  it('answers leave in the order in which they become ready', async () => {
    const holder = new Holder()
    const at = await stage({ routes: [echoRoute(), holder.route] })
    const peer = await rawPeer(at)
    peer.send(Buffer.concat([hold(1), hold(2), echo(3)]))
    await at.runtime.world.settle()
    holder.answer('k2')
    await at.runtime.world.settle()
    holder.answer('k1')
    await at.runtime.world.settle()
    expect(peer.frames.map((frame) => frame.opaque)).toEqual([3, 2, 1])
  })

  it('all answers of a turn leave in one write, after the store has written', async () => {
    const runtime = simRuntime(3)
    runtime.world.setLink({ chunks: 'whole' })
    const broker = runtime.world.node('broker')
    const network = countingNetwork(broker.network)
    const events: string[] = []
    const append = route(Echo, LANE, ({ text }) => {
      events.push('append')
      return { code: 0, header: { text } }
    })
    const server = await startRemotingServer({ ...broker, network }, { name: 'b', port: 9000, routes: [append] })
    server.atTurnEnd({
      before: () => events.push(`store write, ${network.writes} socket writes so far`),
      after: () => events.push(`views, ${network.writes} socket write so far`),
    })
    const peer = await runtime.world.until(RawPeer.connect(runtime, 'broker', 9000))
    peer.send(Buffer.concat(Array.from({ length: 64 }, (_, i) => echo(i))))
    await runtime.world.settle()
    expect(peer.frames).toHaveLength(64)
    expect(network.writes).toBe(1)
    expect(events).toEqual([
      ...Array.from({ length: 64 }, () => 'append'),
      'store write, 0 socket writes so far',
      'views, 1 socket write so far',
    ])
  })

  it("when the store's write throws, no answer of the turn leaves", async () => {
    const at = await stage()
    const before = (): void => {
      throw new Error('disk on fire')
    }
    at.server.atTurnEnd({ before, after() {} })
    const peer = await rawPeer(at)
    peer.send(echo(1))
    await at.runtime.world.settle()
    expect(peer.frames).toEqual([])
    expect(peer.isClosed).toBe(true)
  })

  it('bodies of any size arrive whole, in parts and over several output buffers', async () => {
    const parts = [Buffer.alloc(40_000, 'a'), Buffer.alloc(10, 'b'), Buffer.alloc(100_000, 'c'), Buffer.alloc(30_000, 'd')]
    const at = await stage({ routes: [route(Echo, LANE, ({ text }) => ({ code: 0, header: { text }, body: parts }))] })
    const peer = await rawPeer(at)
    peer.send(Buffer.concat([echo(1), echo(2), echo(3)]))
    await at.runtime.world.settle()
    expect(peer.frames.map((frame) => frame.opaque)).toEqual([1, 2, 3])
    for (const frame of peer.frames) expect(Buffer.compare(Buffer.from(frame.body), Buffer.concat(parts))).toBe(0)
  })

  it('the body of an async route outlives the chunk that it came in', async () => {
    const at = await stage({
      routes: [
        route(Echo, LANE, async ({ text }, { body }) => {
          await at.runtime.clock.sleep(50)
          return { code: 0, header: { text }, body }
        }),
      ],
    })
    const peer = await rawPeer(at)
    peer.send(requestBytes({ code: Echo.code, opaque: 1, ext: { text: '' }, body: Buffer.from('lasting') }))
    await at.runtime.world.run(100)
    expect(Buffer.from(peer.frames[0]?.body ?? []).toString()).toBe('lasting')
  })
})

describe('what goes wrong is answered in words', () => {
  it('an unknown request type: 3, in the words that clients know, naming the server', async () => {
    const at = await stage()
    const peer = await rawPeer(at)
    peer.send(requestBytes({ code: 31999, opaque: 4 }))
    await at.runtime.world.settle()
    expect(peer.frames[0]).toMatchObject({ code: ResponseCode.REQUEST_CODE_NOT_SUPPORTED, opaque: 4 })
    expect(peer.frames[0]?.remark).toMatch(/^ request type 31999 not supported/)
    expect(peer.frames[0]?.remark).toContain('the broker b1')
  })

  it('a one-way request of an unknown type: silence', async () => {
    const at = await stage()
    const peer = await rawPeer(at)
    peer.send(requestBytes({ code: 31999, opaque: 4, flag: FLAG_ONEWAY }))
    peer.send(echo(5))
    await at.runtime.world.settle()
    expect(peer.frames.map((frame) => frame.opaque)).toEqual([5])
  })

  it('a missing and a non-numeric field: 29, naming field and value', async () => {
    const at = await stage()
    const peer = await rawPeer(at)
    peer.send(requestBytes({ code: Echo.code, opaque: 1, ext: { number: '5' } }))
    peer.send(requestBytes({ code: Echo.code, opaque: 2, ext: { text: 'x', number: 'five' } }))
    await at.runtime.world.settle()
    expect(peer.frames.map((frame) => frame.code)).toEqual([29, 29])
    expect(peer.frames[0]?.remark).toMatch(/text is missing/)
    expect(peer.frames[1]?.remark).toMatch(/number is "five"/)
  })

  it("a processor's RocketError keeps its code and words; any other exception stays in the log", async () => {
    const at = await stage({
      routes: [
        route(Echo, LANE, ({ text }) => {
          if (text === 'topic') throw new RocketError('the topic t does not exist here', { code: 'TOPIC_NOT_EXIST' })
          if (text === 'number') throw new RocketError('busy', { code: 'WHATEVER', brokerCode: 215 })
          throw new TypeError('cannot read properties of undefined (secret)')
        }),
      ],
    })
    const peer = await rawPeer(at)
    peer.send(Buffer.concat([echo(1, 'topic'), echo(2, 'number'), echo(3, 'bug')]))
    await at.runtime.world.settle()
    expect(peer.frames.map((frame) => frame.code)).toEqual([17, 215, 1])
    expect(peer.frames[0]?.remark).toBe('the topic t does not exist here')
    expect(peer.frames[2]?.remark).not.toMatch(/TypeError|secret/)
    expect(peer.frames[2]?.remark).toContain('ECHO (9001)')
    expect(warnings(at)).toEqual(['a processor failed'])
  })

  it('a full lane answers SYSTEM_BUSY at once, other lanes go on, and after an answer it takes requests again', async () => {
    const holder = new Holder({ name: 'send', maxInFlight: 2 })
    const at = await stage({ routes: [echoRoute(), holder.route] })
    const peer = await rawPeer(at)
    peer.send(Buffer.concat([hold(1), hold(2), hold(3), echo(4)]))
    await at.runtime.world.settle()
    expect(peer.frames.map((frame) => [frame.opaque, frame.code])).toEqual([
      [3, 2],
      [4, 0],
    ])
    expect(peer.frames[0]?.remark).toMatch(/^\[OVERLOAD\]system busy, start flow control for a while.*send.*2/)
    holder.answer('k1')
    await at.runtime.world.settle()
    peer.send(hold(5))
    await at.runtime.world.settle()
    holder.answer('k5')
    holder.answer('k2')
    await at.runtime.world.settle()
    expect(peer.frames.slice(2).map((frame) => [frame.opaque, frame.code])).toEqual([
      [1, 0],
      [5, 0],
      [2, 0],
    ])
  })

  it('an answer larger than a frame may be becomes an error with its numbers', async () => {
    const at = await stage({ limits: { frameBytes: 1000 }, routes: [route(Echo, LANE, () => ({ code: 0, body: Buffer.alloc(2000) }))] })
    const peer = await rawPeer(at)
    peer.send(echo(1))
    await at.runtime.world.settle()
    expect(peer.frames[0]?.code).toBe(1)
    expect(peer.frames[0]?.remark).toMatch(/20\d\d bytes.*1000/)
  })
})

describe('hostile bytes cost nobody else anything', () => {
  const hostile: [string, Buffer][] = [
    ['garbage', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
    ['a negative length', Buffer.from('fffffff000000000', 'hex')],
    ['length 0', Buffer.alloc(8)],
    ['a header longer than its frame', Buffer.from('0000001000000fff0000000000000000', 'hex')],
    ['a TLS hello', Buffer.from('1603010200010001fc0303', 'hex')],
    ['JSON that is none', Buffer.concat([Buffer.from('0000000c00000008', 'hex'), Buffer.from('{"code":')])],
    [
      '100,000 ext fields',
      requestBytes({ code: Echo.code, opaque: 1, ext: Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`k${i}`, 'v'])) }),
    ],
  ]
  for (const [name, bytes] of hostile) {
    it(`${name}: one warn line with the peer, that connection closes, others work`, async () => {
      const at = await stage({}, name.length)
      const [bad, good] = [await rawPeer(at), await rawPeer(at)]
      bad.send(bytes)
      good.send(echo(1))
      await at.runtime.world.settle()
      await at.runtime.world.run(3000)
      expect(bad.isClosed).toBe(true)
      const lines = at.runtime.world.lines.filter((line) => line.level === 'warn')
      expect(lines).toHaveLength(1)
      expect(lines[0]?.fields['peer']).toMatch(/^10\.0\.0\.\d+:\d+$/)
      good.send(echo(2))
      await at.runtime.world.settle()
      expect(good.frames.map((frame) => frame.opaque)).toEqual([1, 2])
      expect(at.server.connections.size).toBe(1)
    })
  }

  it('requests before the bad bytes are still answered', async () => {
    const at = await stage()
    const peer = await rawPeer(at)
    peer.send(Buffer.concat([echo(1), Buffer.alloc(8)]))
    await at.runtime.world.run(3000)
    expect(peer.frames.map((frame) => frame.opaque)).toEqual([1])
    expect(peer.isClosed).toBe(true)
  })

  it('a frame over the limit is refused in words, and the connection goes on', async () => {
    const at = await stage({ limits: { frameBytes: 10_000 } })
    const peer = await rawPeer(at)
    peer.send(requestBytes({ code: Echo.code, opaque: 8, ext: { text: '' }, body: Buffer.alloc(50_000) }))
    peer.send(echo(9))
    await at.runtime.world.settle()
    expect(peer.frames.map((frame) => [frame.opaque, frame.code])).toEqual([
      [8, ResponseCode.MESSAGE_ILLEGAL],
      [9, 0],
    ])
    expect(peer.frames[0]?.remark).toMatch(/50\d\d\d bytes.*10000/)
  })

  it('a peer that sends one byte a second holds up nobody and is answered in the end', async () => {
    const at = await stage()
    const [slow, quick] = [await rawPeer(at), await rawPeer(at)]
    let opaque = 0
    for (const byte of echo(1)) {
      slow.send(Buffer.from([byte]))
      await at.runtime.world.run(1000)
      quick.send(echo(++opaque))
      await at.runtime.world.settle()
      expect(quick.frames).toHaveLength(opaque)
    }
    expect(slow.frames.map((frame) => frame.opaque)).toEqual([1])
  })

  it('a frame that is cut off by the close leaves nothing behind', async () => {
    const at = await stage()
    const peer = await rawPeer(at)
    peer.send(echo(1).subarray(0, 20))
    await at.runtime.world.settle()
    peer.connection.destroy()
    await at.runtime.world.settle()
    expect(at.server.connections.size).toBe(0)
    expect(warnings(at)).toEqual([])
  })
})

describe('limits of a connection', () => {
  const big = route(Echo, LANE, () => ({ code: 0, body: Buffer.alloc(100_000) }))

  it('a reader that never reads is held back, then closed; its memory is bounded and another connection works', async () => {
    const at = await stage({ routes: [big], limits: { unsentBytes: 1_000_000 } })
    const [deaf, good] = [await rawPeer(at), await rawPeer(at)]
    deaf.connection.pause()
    let most = 0
    for (let i = 0; i < 300; i++) {
      deaf.send(echo(i))
      await at.runtime.world.run(100)
      for (const connection of at.server.connections) most = Math.max(most, unsentOf(connection))
      if (i % 50 === 0) good.send(echo(1000 + i))
    }
    await at.runtime.world.settle()
    expect(good.frames).toHaveLength(6)
    expect(most).toBeLessThan(2_000_000)
    // Held back at 1 MB: what it sent since is unread, and nothing is owed beyond that. It goes with the idle ones.
    await at.runtime.world.run(125_000)
    expect([...at.server.connections]).toHaveLength(0)
  })

  it('answers that pile up at a reader who takes nothing: closed after ten seconds, with the numbers', async () => {
    const holder = new Holder()
    const at = await stage({ routes: [holder.route], limits: { unsentBytes: 1_000_000 } })
    const deaf = await rawPeer(at)
    deaf.connection.pause()
    deaf.send(Buffer.concat(Array.from({ length: 30 }, (_, i) => hold(i))))
    await at.runtime.world.settle()
    const body = Buffer.alloc(100_000)
    for (const resolve of holder.waiting.values()) resolve({ code: 0, body })
    await at.runtime.world.run(5_000)
    expect(at.server.connections.size).toBe(1)
    await at.runtime.world.run(10_000)
    expect(at.server.connections.size).toBe(0)
    expect(warnings(at)).toEqual(['closed a connection that does not read its answers'])
  })

  it('a reader that asks for 40 MB at once gets all of it, a little at a time', async () => {
    const at = await stage({ routes: [big], limits: { unsentBytes: 1_000_000 } })
    at.runtime.world.setLink({ chunks: 'whole' })
    const peer = await rawPeer(at)
    peer.send(Buffer.concat(Array.from({ length: 400 }, (_, i) => echo(i))))
    let most = 0
    for (let i = 0; i < 400 && peer.frames.length < 400; i++) {
      await at.runtime.world.run(5)
      for (const connection of at.server.connections) most = Math.max(most, unsentOf(connection))
    }
    expect(peer.frames.map((frame) => frame.opaque)).toEqual(Array.from({ length: 400 }, (_, i) => i))
    expect(most).toBeLessThan(1_200_000)
  })

  it('a slow reader gets all of a large burst', async () => {
    const at = await stage({ routes: [big], limits: { unsentBytes: 1_000_000 } })
    const peer = await rawPeer(at)
    peer.connection.pause()
    peer.send(Buffer.concat(Array.from({ length: 50 }, (_, i) => echo(i))))
    await at.runtime.world.run(4_000)
    peer.connection.resume()
    await at.runtime.world.run(4_000)
    expect(peer.frames).toHaveLength(50)
    peer.send(echo(99))
    await at.runtime.world.run(1_000)
    expect(peer.frames).toHaveLength(51)
  })

  it('too many unanswered requests pause the reading; answers resume it', async () => {
    const holder = new Holder()
    const at = await stage({ routes: [echoRoute(), holder.route], limits: { unansweredRequests: 10 } })
    at.runtime.world.setLink({ chunks: 'whole' })
    const peer = await rawPeer(at)
    for (let i = 0; i < 40; i++) {
      peer.send(hold(i))
      await at.runtime.world.settle()
    }
    peer.send(echo(100))
    await at.runtime.world.settle()
    expect(holder.waiting.size).toBe(11)
    expect(peer.frames).toEqual([])
    while (holder.waiting.size > 0) {
      for (const key of [...holder.waiting.keys()]) holder.answer(key)
      await at.runtime.world.settle()
    }
    expect(peer.frames).toHaveLength(41)
  })

  it('an idle connection is closed after its time; one with traffic is not', async () => {
    const at = await stage({ limits: { idleMs: 10_000 } })
    const [idle, busy] = [await rawPeer(at), await rawPeer(at)]
    for (let i = 0; i < 4; i++) {
      busy.send(echo(i))
      await at.runtime.world.run(4_000)
    }
    expect(idle.isClosed).toBe(true)
    expect(busy.isClosed).toBe(false)
  })

  it('more connections than the limit are turned away, with one warn line', async () => {
    const at = await stage({ limits: { connections: 2 } })
    const peers = [await rawPeer(at), await rawPeer(at), await rawPeer(at), await rawPeer(at)]
    await at.runtime.world.run(2000)
    expect(peers.map((peer) => peer.isClosed)).toEqual([false, false, true, true])
    expect(at.runtime.world.lines.filter((line) => line.level === 'warn').map((line) => line.fields['turnedAway'])).toEqual([2])
  })
})

describe('the fast path', () => {
  it('sees each frame first, handles what it likes in place, and declines the rest', async () => {
    const at = await stage({
      fastPath: (view, connection) => {
        const header = view.bytes.toString('latin1', view.headerStart, view.headerEnd)
        if (!header.includes('"fast"')) return false
        const answer = requestBytes({ code: 0, opaque: 42, flag: 1 })
        const { bytes, start } = connection.reserve(answer.length)
        answer.copy(bytes, start)
        return true
      },
    })
    const peer = await rawPeer(at)
    peer.send(Buffer.concat([echo(1, 'fast'), echo(2, 'slow')]))
    await at.runtime.world.settle()
    expect(peer.frames.map((frame) => frame.opaque)).toEqual([42, 2])
  })

  it('when it fails the request is answered with SYSTEM_ERROR, once', async () => {
    const at = await stage({
      fastPath: () => {
        throw new Error('bug')
      },
    })
    const peer = await rawPeer(at)
    peer.send(echo(1))
    await at.runtime.world.settle()
    expect(peer.frames.map((frame) => [frame.opaque, frame.code])).toEqual([[1, 1]])
  })
})

describe('closing', () => {
  it('answers what is under way, then closes all', async () => {
    const holder = new Holder()
    const at = await stage({ routes: [holder.route] })
    const peer = await rawPeer(at)
    peer.send(hold(1))
    await at.runtime.world.settle()
    const closing = at.server.close({ drainMs: 5_000 })
    await at.runtime.world.run(1_000)
    expect(peer.isClosed).toBe(false)
    holder.answer('k1')
    await at.runtime.world.until(closing)
    await at.runtime.world.settle()
    expect(peer.frames.map((frame) => frame.opaque)).toEqual([1])
    expect(peer.isClosed).toBe(true)
  })

  it('new requests meanwhile are sent away in words: GO_AWAY to who knows it, SERVICE_NOT_AVAILABLE to older clients', async () => {
    const holder = new Holder()
    const at = await stage({ routes: [echoRoute(), holder.route] })
    const peer = await rawPeer(at)
    peer.send(hold(1))
    await at.runtime.world.settle()
    const closing = at.server.close({ drainMs: 60_000 })
    peer.send(echo(2))
    peer.send(requestBytes({ code: Echo.code, opaque: 3, version: 479, ext: { text: '' } }))
    await at.runtime.world.run(100)
    holder.answer('k1')
    await at.runtime.world.until(closing)
    expect(peer.frames.map((frame) => [frame.opaque, frame.code])).toEqual([
      [2, ResponseCode.SERVICE_NOT_AVAILABLE],
      [3, ResponseCode.GO_AWAY],
      [1, 0],
    ])
    expect(peer.frames[0]?.remark).toContain('the broker b1 is closing')
  })

  it('waits for what a fast path has under way, and not for a peer that has gone', async () => {
    const held: (() => void)[] = []
    const at = await stage({
      fastPath: (_, connection) => {
        connection.noteUnanswered(1)
        held.push(() => {
          connection.reply({ opaque: 7, serializeType: 0, code: Echo.code, version: 0 }, { code: 0 })
          connection.settle(1)
        })
        return true
      },
    })
    const [stays, goes] = [await rawPeer(at), await rawPeer(at)]
    stays.send(echo(7))
    await at.runtime.world.settle()
    goes.send(echo(7))
    await at.runtime.world.settle()
    const startMs = at.runtime.world.nowMs
    const closing = at.server.close({ drainMs: 60_000 })
    await at.runtime.world.run(500)
    expect(stays.isClosed).toBe(false)
    goes.connection.destroy()
    held[0]?.()
    await at.runtime.world.run(500)
    await at.runtime.world.until(closing)
    expect(stays.frames.map((frame) => frame.opaque)).toEqual([7])
    expect(at.runtime.world.nowMs - startMs).toBeLessThan(5_000)
  })

  it('resolves in bounded time with requests that are never answered and a peer that never reads', async () => {
    const holder = new Holder()
    const at = await stage({ routes: [holder.route, route(Echo, LANE, () => ({ code: 0, body: Buffer.alloc(3_000_000) }))] })
    const peer = await rawPeer(at)
    peer.connection.pause()
    peer.send(Buffer.concat([hold(1), echo(2)]))
    await at.runtime.world.settle()
    const startMs = at.runtime.world.nowMs
    await at.runtime.world.until(Promise.all([at.server.close({ drainMs: 500 }), at.server.close()]))
    expect(at.runtime.world.nowMs - startMs).toBeLessThan(3_000)
    expect(at.server.connections.size).toBe(0)
  })
})

/** What the platform still holds for a connection. */
function unsentOf(connection: unknown): number {
  return (connection as { unsentBytes: number }).unsentBytes
}
