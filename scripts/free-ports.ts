/** Ports for the servers of a test, below those that the system gives to clients: nobody is handed one between the look and the listen. */
import { once } from 'node:events'
import { createServer } from 'node:net'

const FIRST_PORT = 10_000
const PORTS = 20_000
/** A broker of Apache's also listens two below (VIP) and one above (HA) its port. */
const BELOW = 2
const ABOVE = 1
const BLOCK = BELOW + ABOVE + 1
/** Test workers look at the same time, and a server that is started anew leaves its port for a moment: each worker has blocks of its own. */
const SHARES = 4
const SHARE = Number(process.env['VITEST_POOL_ID'] ?? 0) % SHARES
const given = new Set<number>()

async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  const free = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, () => resolve(true))
  })
  if (free) await once(server.close(), 'close')
  return free
}

/** A port that nobody listens on, nor on its neighbours, and that this process was not given before. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + BLOCK * (SHARES * Math.floor(Math.random() * (PORTS / BLOCK / SHARES)) + SHARE)
    if (given.has(port)) continue
    given.add(port)
    const block = Array.from({ length: BLOCK }, (_, i) => port - BELOW + i)
    if ((await Promise.all(block.map(isFree))).every(Boolean)) return port
  }
}

/** So many that are not each other's neighbours. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = []
  while (ports.length < count) ports.push(await freePort())
  return ports
}
