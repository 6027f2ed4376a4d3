import type { Producer, SendReceipt } from '@skylarkmq/client'
import { TOPICS } from '../workload.ts'
import type { ExtraParts } from './index.ts'

const PAUSE_MS = 800
/** At rest all clocks go forward by this: so far away are the last of the messages. */
export const FAR_MS = 48 * 3_600_000

/** Messages with a time of their own, up to two days away; some are taken back. */
export async function startTimers({ workload, cluster, random }: ExtraParts): Promise<void> {
  const name = 'scheduler'
  const producer = (await workload.clientOf(name)).producer({ group: 'schedulers', retries: 0 })
  const { clock } = cluster.world.node(name)
  const run = async (): Promise<void> => {
    for (let count = 0; ; count++) {
      await clock.sleep(random.integer(2 * PAUSE_MS))
      if (workload.isOver) return
      const ms = random.pick([300, 3000, 30_000, FAR_MS - 60_000])
      const delayMs = 1 + random.integer(ms)
      const id = `timer-${count}`
      const when = random.chance(0.5) ? { deliverAt: clock.now() + delayMs } : { delayMs, dueMs: clock.now() + delayMs }
      const receipt = await workload.send(producer, { id, topic: random.pick(TOPICS), ...when })
      if (receipt?.recallHandle !== undefined && random.chance(0.3)) {
        await clock.sleep(random.integer(3000))
        await recall(producer, id, receipt)
      }
    }
  }
  const recall = async (by: Producer, id: string, receipt: SendReceipt): Promise<void> => {
    const { history } = cluster
    const asked = history.recalling(id, receipt.queue.brokerName, receipt.messageId)
    try {
      await workload.call(() => by.recall(receipt))
      history.recalled(asked)
    } catch (error) {
      history.note(`${id} may have been taken back: ${String(error).split('\n')[0]}`, [id])
    }
  }
  void run()
}
