import { simRuntime } from '@skylarkmq/runtime/sim'
import * as msgpackr from 'msgpackr'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { RemotingClientOptions, ServerConnection } from '../../src/index.ts'
import { clientHandler, createRemotingClient, expectSuccess, route, startRemotingServer } from '../../src/index.ts'
import type { RocketError } from '../../src/protocol/index.ts'
import { encodeFrame, ResponseCode, useMsgpack } from '../../src/protocol/index.ts'
import type { Stage } from './harness.ts'
import { Ask, countingNetwork, Echo, echoRoute, Hold, Holder, LANE, RawPeer, stage } from './harness.ts'

const TIMES = { timeoutMs: 3000 }

const clientOf = (at: Stage, options: Partial<RemotingClientOptions> = {}) =>
  createRemotingClient({ runtime: at.runtime.world.node('client'), ...options })

/** The error of a promise, whose rejection is handled from now on. */
const errorOf = (promise: Promise<unknown>): Promise<RocketError> =>
  promise.then(
    () => {
      throw new Error('it did not fail')
    },
    (error: unknown) => error as RocketError,
  )

const failureOf = (at: { runtime: Stage['runtime'] }, promise: Promise<unknown>): Promise<RocketError> =>
  at.runtime.world.until(errorOf(promise))

describe('requests of a client', () => {
  it('callers of one address share one connection, and the requests of a turn leave in one write', async () => {
    const at = await stage()
    const node = at.runtime.world.node('client')
    const network = countingNetwork(node.network)
    const client = createRemotingClient({ runtime: { ...node, network } })
    const all = await at.runtime.world.until(
      Promise.all(Array.from({ length: 50 }, (_, i) => client.invoke(at.address, Echo, { text: `t${i}` }, TIMES))),
    )
    expect(all.map((answer) => answer.header().text)).toEqual(Array.from({ length: 50 }, (_, i) => `t${i}`))
    expect(at.server.connections.size).toBe(1)
    expect(network.writes).toBe(1)
    expect(client.addresses).toEqual([at.address])
  })

  it('answers find their callers in any order', async () => {
    const holder = new Holder()
    const at = await stage({ routes: [holder.route] })
    const client = clientOf(at)
    const [a, b] = ['a', 'b'].map((key) => client.invoke(at.address, Hold, { key }, TIMES))
    await at.runtime.world.settle()
    holder.answer('b')
    expect(((await at.runtime.world.until(b as never)) as { header(): unknown }).header()).toEqual({ key: 'b' })
    holder.answer('a')
    expect(((await at.runtime.world.until(a as never)) as { header(): unknown }).header()).toEqual({ key: 'a' })
  })

  it('a body and an answer of a mebibyte each arrive whole, whatever the chunks', async () => {
    const at = await stage({ limits: { frameBytes: 2_000_000 } })
    const body = Buffer.alloc(1024 * 1024, 'x')
    const answer = await at.runtime.world.until(clientOf(at).invoke(at.address, Echo, { text: '' }, { ...TIMES, body }))
    expect(Buffer.compare(Buffer.from(answer.body), body)).toBe(0)
  })

  it('a request without an answer times out at its time, and its late answer harms nobody', async () => {
    const holder = new Holder()
    const at = await stage({ routes: [echoRoute(), holder.route] })
    const client = clientOf(at)
    const startMs = at.runtime.world.nowMs
    const error = await failureOf(at, client.invoke(at.address, Hold, { key: 'x' }, { timeoutMs: 700 }))
    expect(error).toMatchObject({ code: 'TIMEOUT', address: at.address, phase: 'wait', retryable: true })
    expect(error.message).toContain('HOLD (9002)')
    expect(at.runtime.world.nowMs - startMs).toBeGreaterThanOrEqual(700)
    expect(at.runtime.world.nowMs - startMs).toBeLessThan(705)
    holder.answer('x')
    const answer = await at.runtime.world.until(client.invoke(at.address, Echo, { text: 'on' }, TIMES))
    expect(answer.header()).toEqual({ text: 'on' })
  })

  it('a shorter timeout among longer ones comes first', async () => {
    const holder = new Holder()
    const at = await stage({ routes: [holder.route] })
    const client = clientOf(at)
    const ended: string[] = []
    const one = (key: string, timeoutMs: number) => client.invoke(at.address, Hold, { key }, { timeoutMs }).catch(() => ended.push(key))
    await at.runtime.world.until(Promise.all([one('long', 900), one('short', 100), one('middle', 500)]))
    expect(ended).toEqual(['short', 'middle', 'long'])
  })

  it('an abort rejects its caller at once and leaves the others', async () => {
    const holder = new Holder()
    const at = await stage({ routes: [holder.route] })
    const client = clientOf(at)
    const controller = new AbortController()
    const aborted = client.invoke(at.address, Hold, { key: 'x' }, { ...TIMES, signal: controller.signal })
    const other = client.invoke(at.address, Hold, { key: 'y' }, TIMES)
    await at.runtime.world.settle()
    controller.abort()
    expect(await failureOf(at, aborted)).toMatchObject({ code: 'ABORTED' })
    holder.answer('y')
    expect((await at.runtime.world.until(other)).code).toBe(0)
    const late = client.invoke(at.address, Hold, { key: 'z' }, { ...TIMES, signal: controller.signal })
    expect(await failureOf(at, late)).toMatchObject({ code: 'ABORTED' })
  })

  it('a one-way request resolves when it is handed over and is not answered', async () => {
    const seen: string[] = []
    const at = await stage({
      routes: [
        route(Echo, LANE, ({ text }, { isOneway }) => {
          seen.push(`${text} ${isOneway}`)
          return { code: 0, header: { text } }
        }),
      ],
    })
    const client = clientOf(at)
    await at.runtime.world.until(client.notify(at.address, Echo, { text: 'fire' }, TIMES))
    await at.runtime.world.settle()
    expect(seen).toEqual(['fire true'])
  })

  it('what was handed over before close still arrives', async () => {
    const seen: string[] = []
    const at = await stage({ routes: [route(Echo, LANE, ({ text }) => void seen.push(text))] })
    const client = clientOf(at)
    await at.runtime.world.until(client.notify(at.address, Echo, { text: 'unregister' }, TIMES))
    client.close()
    await at.runtime.world.run(3000)
    expect(seen).toEqual(['unregister'])
    expect(at.server.connections.size).toBe(0)
  })

  it('a body that no frame can hold is refused before it is sent', async () => {
    const at = await stage()
    const client = clientOf(at, { frameBytes: 1000 })
    const error = await failureOf(at, client.invoke(at.address, Echo, { text: '' }, { ...TIMES, body: Buffer.alloc(2000) }))
    expect(error).toMatchObject({ code: 'BAD_ARGUMENT', phase: 'send' })
    expect(error.message).toMatch(/2000 bytes.*1000/)
  })
})

describe('connections of a client', () => {
  it('nobody listens: CONNECT_FAILED with the address and what to check; the next request tries again', async () => {
    const runtime = simRuntime(1)
    const at = { runtime }
    const client = createRemotingClient({ runtime: runtime.world.node('client') })
    runtime.world.node('broker')
    const error = await failureOf(at, client.invoke('broker:9000', Echo, { text: '' }, TIMES))
    expect(error).toMatchObject({ code: 'CONNECT_FAILED', address: 'broker:9000', phase: 'connect', retryable: true })
    expect(error.message).toMatch(/ECONNREFUSED.*check that the server runs/)
    expect(error.cause).toBeInstanceOf(Error)
    await startRemotingServer(runtime.world.node('broker'), { name: 'b', port: 9000, routes: [echoRoute()] })
    expect((await runtime.world.until(client.invoke('broker:9000', Echo, { text: '' }, TIMES))).code).toBe(0)
  })

  it('an address that is none is refused in words', async () => {
    const runtime = simRuntime(1)
    const client = createRemotingClient({ runtime })
    for (const address of ['broker', 'broker:', ':9876', 'broker:70000', 'broker:x']) {
      const error = await failureOf({ runtime }, client.invoke(address, Echo, { text: '' }, TIMES))
      expect(error).toMatchObject({ code: 'BAD_ARGUMENT' })
      expect(error.message).toContain('host:port')
    }
  })

  it('a request that gives up while the connection is being made is never sent', async () => {
    const seen: string[] = []
    const at = await stage({ routes: [route(Echo, LANE, ({ text }) => void seen.push(text))] })
    at.runtime.world.node('client')
    at.runtime.world.setLink({ delayMs: { min: 100, max: 100 } })
    const client = clientOf(at)
    const early = client.invoke(at.address, Echo, { text: 'early' }, { timeoutMs: 50 })
    const late = client.notify(at.address, Echo, { text: 'late' }, TIMES)
    expect(await failureOf(at, early)).toMatchObject({ code: 'TIMEOUT', phase: 'connect' })
    await at.runtime.world.until(late)
    await at.runtime.world.run(1000)
    expect(seen).toEqual(['late'])
  })

  it('a cut rejects all who wait, naming the address; the next request connects again', async () => {
    const holder = new Holder()
    const lost: string[] = []
    const at = await stage({ routes: [echoRoute(), holder.route] })
    const client = clientOf(at, { onDisconnect: (address) => lost.push(address) })
    const waiting = ['a', 'b', 'c'].map((key) => errorOf(client.invoke(at.address, Hold, { key }, TIMES)))
    await at.runtime.world.when(() => holder.waiting.size === 3)
    at.runtime.world.cut('client', 'broker')
    for (const error of await at.runtime.world.until(Promise.all(waiting))) {
      expect(error).toMatchObject({ code: 'CONNECTION_LOST', address: at.address, phase: 'wait', retryable: true })
    }
    expect(lost).toEqual([at.address])
    expect(client.addresses).toEqual([])
    expect((await at.runtime.world.until(client.invoke(at.address, Echo, { text: 'x' }, TIMES))).code).toBe(0)
  })

  it('close while requests wait: CLOSED for all, and nothing starts afterwards', async () => {
    const at = await stage({ routes: [new Holder().route] })
    const client = clientOf(at)
    const waiting = errorOf(client.invoke(at.address, Hold, { key: 'a' }, TIMES))
    await at.runtime.world.settle()
    const connecting = errorOf(client.invoke('broker:9001', Hold, { key: 'b' }, TIMES))
    client.close()
    expect(await waiting).toMatchObject({ code: 'CLOSED' })
    expect(await connecting).toMatchObject({ code: 'CLOSED' })
    expect(await failureOf(at, client.invoke(at.address, Hold, { key: 'c' }, TIMES))).toMatchObject({ code: 'CLOSED', phase: 'send' })
    await at.runtime.world.run(3000)
    expect(at.server.connections.size).toBe(0)
  })

  it('an idle connection is closed, one with a long poll is not', async () => {
    const holder = new Holder()
    const at = await stage({ routes: [echoRoute(), holder.route] })
    const client = clientOf(at, { idleMs: 10_000 })
    await at.runtime.world.until(client.invoke(at.address, Echo, { text: '' }, TIMES))
    const poll = client.invoke(at.address, Hold, { key: 'poll' }, { timeoutMs: 60_000 })
    await at.runtime.world.run(30_000)
    expect(client.addresses).toHaveLength(1)
    holder.answer('poll')
    await at.runtime.world.until(poll)
    await at.runtime.world.run(15_000)
    expect(client.addresses).toEqual([])
  })

  it('a server that is none: BAD_FRAME with what to check', async () => {
    const runtime = simRuntime(1)
    await runtime.world.node('web').network.listen({
      port: 80,
      onConnection: (connection) => {
        connection.start({ onBytes: () => connection.write(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')), onClose: () => {} })
      },
    })
    const client = createRemotingClient({ runtime: runtime.world.node('client') })
    const error = await failureOf({ runtime }, client.invoke('web:80', Echo, { text: '' }, TIMES))
    expect(error).toMatchObject({ code: 'BAD_FRAME', address: 'web:80' })
    expect(error.message).toContain('check that it is a RocketMQ')
  })
})

describe('requests of the server to a client', () => {
  const opened: ServerConnection[] = []
  beforeEach(() => void opened.splice(0))
  const withClient = async (options: Partial<RemotingClientOptions>) => {
    const at = await stage({ onOpen: (connection) => opened.push(connection) })
    const client = clientOf(at, options)
    await at.runtime.world.until(client.invoke(at.address, Echo, { text: '' }, TIMES))
    return { at, client, connection: opened[0] as ServerConnection }
  }

  it('invoke is answered by the handler; opaque numbers start at 1', async () => {
    const opaques: number[] = []
    const { at, connection } = await withClient({
      handlers: [
        clientHandler(Ask, async ({ text }, { body, frame }) => {
          opaques.push(frame.opaque)
          return { code: 0, header: { text: text.toUpperCase() }, body }
        }),
      ],
    })
    const answer = await at.runtime.world.until(connection.invoke(Ask, { text: 'you' }, { timeoutMs: 1000, body: Buffer.from('b') }))
    expect(answer).toMatchObject({ code: 0, ext: { text: 'YOU' } })
    expect(Buffer.from(answer.body).toString()).toBe('b')
    expect(opaques).toEqual([1])
    expect(connection).toMatchObject({ language: 'OTHER', version: 479 })
  })

  it('notify is one-way; an unknown request is answered 3; a handler that fails answers in words', async () => {
    const seen: string[] = []
    const { at, connection } = await withClient({
      handlers: [
        clientHandler(Ask, ({ text }) => {
          seen.push(text)
          if (text === 'bug') throw new TypeError('secret')
          return { code: 0 }
        }),
      ],
    })
    connection.notify(Ask, { text: 'changed' })
    const unknown = await at.runtime.world.until(connection.invoke(Hold, { key: 'x' }, { timeoutMs: 1000 }))
    const failed = await at.runtime.world.until(connection.invoke(Ask, { text: 'bug' }, { timeoutMs: 1000 }))
    expect(seen).toEqual(['changed', 'bug'])
    expect(unknown.code).toBe(ResponseCode.REQUEST_CODE_NOT_SUPPORTED)
    expect(failed.code).toBe(ResponseCode.SYSTEM_ERROR)
    expect(failed.remark).not.toMatch(/secret/)
  })

  it('a client that does not answer: TIMEOUT; one that goes: CONNECTION_LOST, and its close listeners run once', async () => {
    const { at, client, connection } = await withClient({ handlers: [clientHandler(Ask, () => new Promise(() => {}))] })
    let closes = 0
    connection.onClose(() => closes++)
    expect(await failureOf(at, connection.invoke(Ask, { text: '' }, { timeoutMs: 500 }))).toMatchObject({ code: 'TIMEOUT' })
    const waiting = errorOf(connection.invoke(Ask, { text: '' }, { timeoutMs: 5000 }))
    await at.runtime.world.settle()
    client.disconnect(at.address)
    expect(await at.runtime.world.until(waiting)).toMatchObject({ code: 'CONNECTION_LOST', address: connection.address })
    expect(closes).toBe(1)
    connection.onClose(() => closes++)
    expect(closes).toBe(2)
    expect(await failureOf(at, connection.invoke(Ask, { text: '' }, { timeoutMs: 500 }))).toMatchObject({ code: 'CONNECTION_LOST' })
    connection.notify(Ask, { text: 'into the void' })
  })
})

describe('expectSuccess', () => {
  it('throws with the address, name, number and remark of a failure', async () => {
    const at = await stage({ routes: [route(Echo, LANE, ({ text }) => ({ code: Number(text), remark: 'because' }))] })
    const client = clientOf(at)
    const ask = (code: number) => client.invoke(at.address, Echo, { text: String(code) }, TIMES).then(expectSuccess)
    expect((await at.runtime.world.until(ask(0))).code).toBe(0)
    const busy = await failureOf(at, ask(2))
    expect(busy).toMatchObject({ code: 'SYSTEM_BUSY', brokerCode: 2, retryable: true, address: at.address, phase: 'answer' })
    expect(busy.message).toBe('broker:9000 answered SYSTEM_BUSY (2) to ECHO (9001): because')
    expect(await failureOf(at, ask(31_000))).toMatchObject({ code: 'UNKNOWN_CODE', brokerCode: 31_000, retryable: false })
  })
})

describe('msgpack headers between our own ends', () => {
  beforeEach(() => useMsgpack(msgpackr))
  afterEach(() => useMsgpack(undefined))

  it('are used once both ends have offered them, in both directions', async () => {
    const types: number[] = []
    const asked: number[] = []
    let connection: ServerConnection | undefined
    const at = await stage({
      onOpen: (opened) => {
        connection = opened
      },
      routes: [
        route(Echo, LANE, ({ text }, { frame }) => {
          types.push(frame.serializeType)
          return { code: 0, header: { text } }
        }),
      ],
    })
    const client = clientOf(at, {
      msgpack: true,
      handlers: [
        clientHandler(Ask, ({ text }, { frame }) => {
          asked.push(frame.serializeType)
          return { code: 0, header: { text } }
        }),
      ],
    })
    for (let i = 0; i < 3; i++) {
      const answer = await at.runtime.world.until(client.invoke(at.address, Echo, { text: `ü${i}` }, TIMES))
      expect(answer.header()).toEqual({ text: `ü${i}` })
    }
    expect(types).toEqual([0, 2, 2])
    const answer = await at.runtime.world.until((connection as ServerConnection).invoke(Ask, { text: 'q' }, { timeoutMs: 1000 }))
    expect(answer).toMatchObject({ ext: { text: 'q' }, serializeType: 2 })
    expect(asked).toEqual([2])
  })

  it('never reach a server that does not offer them', async () => {
    const runtime = simRuntime(5)
    const types: number[] = []
    await runtime.world.node('java').network.listen({
      port: 10911,
      onConnection: (connection) => {
        const peer = new RawPeer(connection)
        const serve = () => {
          for (const frame of peer.frames.splice(0)) {
            types.push(frame.serializeType)
            const answer = { ...frame, code: 0, flag: 1, ext: { text: 'from java' }, body: Buffer.alloc(0) }
            connection.write(encodeFrame(answer))
          }
          runtime.clock.after(1, serve)
        }
        serve()
      },
    })
    const client = createRemotingClient({ runtime: runtime.world.node('client'), msgpack: true })
    for (let i = 0; i < 3; i++) await runtime.world.until(client.invoke('java:10911', Echo, { text: '' }, TIMES))
    expect(types).toEqual([0, 0, 0])
  })

  it('never reach a client that does not offer them, and it is never told of them', async () => {
    const at = await stage({ onOpen: (connection) => void (opened = connection) })
    let opened: ServerConnection | undefined
    const asked: number[] = []
    const client = clientOf(at, {
      handlers: [
        clientHandler(Ask, (_, { frame }) => {
          asked.push(frame.serializeType)
          return { code: 0 }
        }),
      ],
    })
    const answer = await at.runtime.world.until(client.invoke(at.address, Echo, { text: 'x' }, TIMES))
    expect(answer.ext).toEqual({ text: 'x' })
    await at.runtime.world.until((opened as unknown as ServerConnection).invoke(Ask, { text: '' }, { timeoutMs: 1000 }))
    expect(asked).toEqual([0])
  })

  it('cannot be asked for without the library', () => {
    useMsgpack(undefined)
    expect(() => createRemotingClient({ runtime: simRuntime(1), msgpack: true })).toThrow(/useMsgpack/)
  })
})
