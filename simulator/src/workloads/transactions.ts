import type { Outcome, SendReceipt } from '@skylarkmq/client'
import { hashOf, idIn } from '../payload.ts'
import { messageOf, textOf, TOPICS } from '../workload.ts'
import type { ExtraParts } from './index.ts'

const PAUSE_MS = 1000

/** What the application decides about a transaction, once and for all. */
const outcomeOf = (id: string): 'commit' | 'rollback' => (hashOf(`outcome of ${id}`) % 3 === 0 ? 'rollback' : 'commit')

/** Messages of transactions. Their producer does not always say at once how they end; then the broker asks. */
export async function startTransactions({ workload, cluster, random }: ExtraParts): Promise<void> {
  const name = 'teller'
  const { history } = cluster
  const tell = cluster.plan.plants?.tells ?? ((outcome) => outcome)
  const check = (id: string | undefined): Outcome => {
    if (id === undefined) return 'rollback'
    history.note(`a broker asks how the transaction of ${id} ended`, [id])
    return random.chance(0.3) ? 'unknown' : tell(outcomeOf(id))
  }
  const producer = (await workload.clientOf(name)).producer({ group: 'tellers', retries: 1, onCheck: ({ body }) => check(idIn(body)) })
  const { clock } = cluster.world.node(name)
  const run = async (): Promise<void> => {
    for (let count = 0; ; count++) {
      await clock.sleep(random.integer(2 * PAUSE_MS))
      if (workload.isOver) return
      const id = `transfer-${count}`
      const what = { id, topic: random.pick(TOPICS), outcome: outcomeOf(id) }
      workload.announce(what)
      const work = async (half: SendReceipt): Promise<Outcome> => {
        // The half message is acknowledged now, however long the rest takes: power that goes meanwhile may take it.
        workload.received(id, half)
        await clock.sleep(random.integer(300))
        if (random.chance(0.1)) throw new Error('the application forgot to say')
        return random.chance(0.3) ? 'unknown' : tell(what.outcome)
      }
      try {
        const receipt = await workload.call(() => producer.sendInTransaction(messageOf(what), work))
        if (receipt.status !== 'OK') workload.received(id, receipt)
      } catch (error) {
        if (history.sent.get(id)?.ack === undefined) history.failed(id, textOf(error))
        else history.note(`nobody said how the transaction of ${id} ended: ${textOf(error)}`, [id])
      }
    }
  }
  void run()
}
