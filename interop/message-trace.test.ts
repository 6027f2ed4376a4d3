/** "Where is my order?" asked with RocketMQ's own tool, of what our client wrote. (The matrix asks our tool of what the others wrote.) */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { createClient } from '@skylarkmq/client'
import { expect, test } from 'vitest'
import { ourCluster } from './src/clusters.ts'
import { unique } from './src/features.ts'
import { JAVA_FLAGS, jars, scratch } from './src/toolchains.ts'

const tools = jars('5.5.0', 'servers')
const missing = 'missing' in tools ? tools.missing : undefined
const run = promisify(execFile)

async function queryMsgTraceById(namesrv: string, id: string): Promise<string> {
  const main = ['-cp', `${(tools as { folder: string }).folder}/*`, 'org.apache.rocketmq.tools.command.MQAdminStartup']
  const flags = [...JAVA_FLAGS, '-Xmx128m', '-XX:TieredStopAtLevel=1', `-Duser.home=${scratch('trace-home')}`]
  const { stdout } = await run('java', [...flags, ...main, 'queryMsgTraceById', '-n', namesrv, '-i', id], { timeout: 100_000 })
  return stdout
}

test.skipIf(missing !== undefined)(`mqadmin queryMsgTraceById reads our trace${missing ? ` (skipped: ${missing})` : ''}`, async () => {
  const cluster = await ourCluster()
  const client = await createClient({ namesrvAddr: cluster.namesrv })
  try {
    const [topic, shop, office] = [unique('orders'), unique('shop'), unique('office')]
    const producer = client.producer({ group: shop, messageTrace: true })
    const { messageId } = await producer.send({ topic, body: 'a book', tags: 'Paid', keys: 'order-1' })
    const handled = new Promise<void>((resolve, reject) => {
      const consumer = client.pushConsumer({
        group: office,
        subscriptions: { [topic]: '*' },
        consumeFrom: 'first',
        messageTrace: true,
        handler: () => resolve(),
      })
      consumer.start().catch(reject)
    })
    await handled
    const admin = client.admin()
    for (let i = 0; i < 200; i++) {
      const events = await admin.messages.trace(messageId).catch(() => [])
      if (events.length === 3) break
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    // The tool gives a server five seconds, the loading of its own classes included.
    let output = ''
    for (let i = 0; i < 3 && !/^Sub /m.test(output); i++) output = await queryMsgTraceById(cluster.namesrv, messageId)
    // #Type #ProducerGroup #ClientHost #SendTime #CostTimes #Status, then the same of the consumers.
    expect(output).toMatch(new RegExp(`^Pub +${shop} .*success`, 'm'))
    expect(output).toMatch(new RegExp(`^Sub +${office} .*success`, 'm'))
  } finally {
    await client.close()
    await cluster.stop()
  }
})
