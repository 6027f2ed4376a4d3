/** The disk that takes a server's output is full. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { createClient } from '@skylarkmq/client'
import { silentLog } from '@skylarkmq/runtime'
import { afterEach, expect, test } from 'vitest'
import { freePort } from '../../../../scripts/free-ports.ts'
import { Home } from './processes.node.ts'

const SKYLARK = join(import.meta.dirname, '../../bin/skylark.cjs')
const homes: Home[] = []
afterEach(async () => {
  for (const home of homes.splice(0)) await home.dispose()
})

test.skipIf(!existsSync('/dev/full'))('a broker whose output finds no room goes on serving', { timeout: 60_000 }, async () => {
  const home = new Home()
  homes.push(home)
  const [namesrvPort, nobody] = [await freePort(), await freePort()]
  await home.start('mqnamesrv', ['-c', home.namesrvConf(namesrvPort)]).up()
  // Of a NameServer that is not there it complains every second.
  const namesrvAddr = `127.0.0.1:${namesrvPort};127.0.0.1:${nobody}`
  const conf = home.brokerConf(await freePort(), namesrvAddr, { registerNameServerPeriod: 1000 })
  const full = openSync('/dev/full', 'w')
  const env = { ...process.env, SKYLARK_RUN_DIR: join(home.path, 'run'), NAMESRV_ADDR: '' }
  const broker = spawn(process.execPath, [SKYLARK, 'broker', '-c', conf], { env, stdio: ['ignore', full, full] })
  closeSync(full)
  const ended = once(broker, 'close')
  const client = await createClient({ namesrvAddr: `127.0.0.1:${namesrvPort}`, log: silentLog, timeouts: { requestMs: 2000 } })
  try {
    const producer = client.producer({ group: 'writers' })
    let sent = 0
    // The first ones find no broker yet.
    while (sent < 30 && broker.exitCode === null && broker.signalCode === null) {
      sent += await producer.send({ topic: 'orders', body: 'x' }).then(
        () => 1,
        () => 0,
      )
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    expect({ sent, exitCode: broker.exitCode, signal: broker.signalCode }).toEqual({ sent: 30, exitCode: null, signal: null })
  } finally {
    await client.close({ drainMs: 0 })
    broker.kill('SIGTERM')
  }
  expect((await ended)[0], 'its exit code').toBe(0)
})
