/** `skylark cluster` as a person runs it. Needs a build (npm test makes one first). */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from '@skylarkmq/client'
import { afterEach, expect, test } from 'vitest'

const SKYLARK = join(import.meta.dirname, '..', 'bin', 'skylark.cjs')
const home = mkdtempSync(join(tmpdir(), 'skylark-cluster-'))
let cluster: ChildProcess | undefined

function start(...args: string[]) {
  const all = ['cluster', '--port', '0', '--namesrv-port', '0', '--store', join(home, 'store'), ...args]
  const env = { ...process.env, HOME: home, SKYLARK_RUN_DIR: join(home, 'run'), NAMESRV_ADDR: '' }
  const child = spawn(process.execPath, [SKYLARK, ...all], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  cluster = child
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const closed = once(child, 'close')
  const says = async (pattern: RegExp): Promise<string> => {
    for (;;) {
      const found = pattern.exec(output)
      if (found !== null) return found[1] ?? ''
      if (child.exitCode !== null) throw new Error(`ended without saying ${pattern}: ${output}`)
      await sleep(20)
    }
  }
  return { child, closed, says, output: () => output }
}

afterEach(async () => {
  // Its servers end when it does.
  if (cluster?.exitCode === null && cluster.signalCode === null) {
    const closed = once(cluster, 'close')
    cluster.kill('SIGKILL')
    await closed
  }
  rmSync(home, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 })
})

const processesOf = (output: string): Map<string, number> =>
  new Map([...output.matchAll(/^(\S+): process (\d+)$/gm)].map((found) => [found[1] as string, Number(found[2])]))

const lives = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

test('two brokers of one cluster share the messages; one that is killed comes back with all of its own; Ctrl-C stops all', async () => {
  const { child, closed, says, output } = start('--brokers', '2')
  const namesrvAddr = await says(/2 brokers are ready\. NameServer (\S+)/)
  const first = processesOf(output())
  expect([...first.keys()].sort()).toEqual(['broker-a', 'broker-b', 'namesrv'])

  const client = await createClient({ namesrvAddr })
  await client.admin().topics.update({ topic: 'shared', queueNums: 2 }, { cluster: 'DefaultCluster' })
  const producer = client.producer({ group: 'writers' })
  const sent = []
  for (let i = 0; i < 20; i++) sent.push(await producer.send({ topic: 'shared', body: `message ${i}` }))
  const brokers = new Set(sent.map(({ queue }) => queue.brokerName))
  expect([...brokers].sort()).toEqual(['broker-a', 'broker-b'])

  process.kill(first.get('broker-b') as number, 'SIGKILL')
  await says(/broker-b: ended with SIGKILL; it is started again in (1) s/)
  await says(/broker-b: ended[\s\S]*broker-b: The broker\[broker-b.*(boot success)/)
  const second = processesOf(output())
  expect(second.get('broker-b')).not.toBe(first.get('broker-b'))
  expect(second.get('broker-a')).toBe(first.get('broker-a'))

  const found = new Set<string>()
  const reader = client.pullConsumer({ group: 'readers', consumeFrom: 'first' })
  await reader.assign([...new Map(sent.map(({ queue }) => [`${queue.brokerName} ${queue.queueId}`, queue])).values()])
  while (found.size < 20) for (const message of await reader.poll()) found.add(message.text)
  await client.close()

  child.kill('SIGINT')
  expect((await closed)[0]).toBe(0)
  for (const pid of [...first.values(), ...second.values()]) expect(lives(pid)).toBe(false)
})

test('a cluster that cannot start says why, leaves no server behind, and fails', async () => {
  const { closed, output } = start('--brokers', '2', '--host', '203.0.113.1')
  expect((await closed)[0]).toBe(1)
  expect(output()).toContain('203.0.113.1')
  for (const pid of processesOf(output()).values()) expect(lives(pid)).toBe(false)
})
