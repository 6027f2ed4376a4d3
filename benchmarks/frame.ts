/**
 * What one request costs the server, through a trivial route: requests per second and server CPU per request, once by the declared
 * route and once by a fast path that answers in place. Server and client are separate processes.
 *
 *   node --conditions=source --import tsx benchmarks/frame.ts
 */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import net from 'node:net'
import { fileURLToPath } from 'node:url'
import type { FastPath } from '@skylarkmq/remoting'
import { route, startRemotingServer } from '@skylarkmq/remoting'
import { defineCommand, encodeFrame, int, string } from '@skylarkmq/remoting/protocol'
import { nodeRuntime } from '@skylarkmq/runtime/node'

const Probe = defineCommand({
  code: 9100,
  name: 'PROBE',
  server: 'broker',
  summary: 'Does nothing.',
  request: { topic: string(), queueId: int() },
  response: { queueId: int(), queueOffset: int() },
})
const BODY = Buffer.alloc(100, 'x')
const LOADS = [
  { connections: 1, depth: 64 },
  { connections: 8, depth: 16 },
]
const RUNS = 3
const MEASURE_MS = 1500
const WARM_UP_MS = 500

interface Sample {
  readonly requests: number
  readonly cpuMicros: number
}

const frame = (code: number, opaque: number, flag: number, ext: Record<string, string>, body: Uint8Array): Buffer =>
  encodeFrame({ code, language: 'JAVA', version: 453, opaque, flag, ext, body, serializeType: 0 })

// The server, in its own process: counts requests, and tells on demand how much CPU it has used.
async function serve(isFast: boolean): Promise<void> {
  let requests = 0
  const answer = frame(0, 1, 1, { queueId: '1', queueOffset: '1' }, Buffer.alloc(0))
  const fastPath: FastPath = (_view, connection) => {
    requests++
    const { bytes, start } = connection.reserve(answer.length)
    bytes.set(answer, start)
    return true
  }
  const server = await startRemotingServer(nodeRuntime(), {
    name: 'benchmark',
    host: '127.0.0.1',
    port: 0,
    routes: [
      route(
        Probe,
        { name: 'all', maxInFlight: 10_000 },
        ({ queueId }) => {
          requests++
          return { code: 0, header: { queueId, queueOffset: 1 } }
        },
        { inPlace: true },
      ),
    ],
    ...(isFast ? { fastPath } : {}),
  })
  process.on('message', () => {
    const { user, system } = process.cpuUsage()
    process.send?.({ requests, cpuMicros: user + system } satisfies Sample)
  })
  process.send?.(server.port)
}

const nextMessage = (child: ChildProcess): Promise<unknown> => new Promise((resolve) => child.once('message', resolve))

/** A closed loop without codec: as many answers as a read brings, so many requests in one write. */
function drive(port: number, depth: number): net.Socket {
  const request = frame(Probe.code, 1, 0, { topic: 'benchmark', queueId: '1' }, BODY)
  const batch = Buffer.concat(Array.from({ length: depth }, () => request))
  let answerBytes = 0
  let rest = 0
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true }, () => socket.write(batch))
  socket.on('data', (chunk) => {
    if (answerBytes === 0) answerBytes = 4 + chunk.readInt32BE(0)
    const bytes = rest + chunk.length
    const answers = Math.floor(bytes / answerBytes)
    rest = bytes - answers * answerBytes
    if (answers > 0) socket.write(batch.subarray(0, answers * request.length))
  })
  socket.on('error', () => {})
  return socket
}

async function measure(isFast: boolean, load: (typeof LOADS)[number]): Promise<{ perSecond: number; cpuMicros: number }> {
  const child = fork(fileURLToPath(import.meta.url), [isFast ? 'fast' : 'generic'])
  try {
    const port = (await nextMessage(child)) as number
    const sockets = Array.from({ length: load.connections }, () => drive(port, load.depth))
    const sample = async (): Promise<Sample> => {
      child.send('sample')
      return (await nextMessage(child)) as Sample
    }
    const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
    await wait(WARM_UP_MS)
    const [startMs, start] = [performance.now(), await sample()]
    await wait(MEASURE_MS)
    const [endMs, end] = [performance.now(), await sample()]
    for (const socket of sockets) socket.destroy()
    const requests = end.requests - start.requests
    return { perSecond: (requests / (endMs - startMs)) * 1000, cpuMicros: (end.cpuMicros - start.cpuMicros) / requests }
  } finally {
    child.kill()
  }
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN

async function main(): Promise<void> {
  console.log(`connections x depth, ${BODY.length} B bodies, median of ${RUNS}`)
  for (const load of LOADS) {
    // Interleaved: what else the machine does hits both alike.
    const results = { generic: [] as Awaited<ReturnType<typeof measure>>[], fast: [] as Awaited<ReturnType<typeof measure>>[] }
    for (let run = 0; run < RUNS; run++) {
      results.generic.push(await measure(false, load))
      results.fast.push(await measure(true, load))
    }
    for (const [name, all] of Object.entries(results)) {
      const perSecond = median(all.map((one) => one.perSecond))
      const cpuMicros = median(all.map((one) => one.cpuMicros))
      const label = `${load.connections}x${load.depth} ${name}`.padEnd(16)
      console.log(
        `${label} ${Math.round(perSecond).toLocaleString('en').padStart(10)} requests/s  ${cpuMicros.toFixed(2)} us CPU per request`,
      )
    }
  }
}

const role = process.argv[2]
if (role === 'fast' || role === 'generic') await serve(role === 'fast')
else await main()
