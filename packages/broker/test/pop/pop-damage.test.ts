/**
 * What is in flight is told by records of the log, and a disk rots: whichever byte of them is wrong, no message of anybody is lost to it.
 * Some come twice.
 */
import { decodeRecords } from '@skylarkmq/remoting/protocol'
import { expect, test } from 'vitest'
import { POP_LOG_TOPIC } from '../../src/pop/pop-topic.ts'
import { startScene } from '../support.ts'
import type { Scene } from '../support.ts'
import { ack, bodiesOf, change, messagesOf, pop } from './pop-support.ts'

const LOG = '/store/commitlog/00000000000000000000'
const SENT = ['m0', 'm1', 'm2', 'm3', 'm4', 'm5']
const EVERY_BYTES = 67

/** Killed with m1, m2, m3 and m4 in flight, told by several records. */
async function killed(): Promise<Scene> {
  const scene = await startScene()
  const client = scene.client('client')
  const two = { queueId: 0, maxMsgNums: 2, invisibleTime: 10_000 }
  for (const body of SENT) await client.send('orders', body, { queueId: 0 })
  const [m0] = messagesOf(await pop(client, two))
  const [m2] = messagesOf(await pop(client, two))
  await ack(client, m0!)
  await change(client, m2!, 20_000)
  await pop(client, { ...two, maxMsgNums: 1 })
  await scene.world.run(6000)
  scene.world.kill('broker')
  return scene
}

function log({ world }: Scene): Buffer {
  const file = world.node('broker').disk.open(LOG, { readOnly: true })
  const bytes = Buffer.alloc(8192)
  return bytes.subarray(0, file.readNow(bytes, 0, bytes.length, 0))
}

test('a bit flipped in what tells of messages in flight: all that were not acknowledged come again', async () => {
  const whole = await killed()
  const records = decodeRecords(log(whole)).filter(({ topic }) => topic === POP_LOG_TOPIC)
  expect(records).toHaveLength(5)
  for (const { physicalOffset, sizeBytes } of records) {
    for (let at = physicalOffset + 1; at < physicalOffset + sizeBytes; at += EVERY_BYTES) {
      const scene = await killed()
      const byte = log(scene)[at] as number
      const file = scene.world.node('broker').disk.open(LOG)
      file.write(Uint8Array.of(byte ^ (1 << (at % 8))), 0, 1, at)
      file.close()
      await scene.revive()
      await scene.world.run(10)
      // What it has found out lasts.
      scene.world.kill('broker')
      await scene.revive()
      expect(scene.world.report()).toContain('records of what is in flight are damaged or missing')
      const client = scene.client('other')
      const seen: string[] = []
      for (let round = 0; round < 6; round++) {
        const answer = await pop(client, { maxMsgNums: 32 })
        seen.push(...bodiesOf(answer))
        for (const message of messagesOf(answer)) expect((await ack(client, message)).code).toBe(0)
        await scene.world.run(5000)
      }
      expect([at, ...new Set(seen.filter((body) => body !== 'm0'))].sort()).toEqual([at, ...SENT.slice(1)].sort())
      await scene.close()
    }
  }
}, 60_000)
