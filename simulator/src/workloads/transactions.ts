import type { Outcome } from '@skylarkmq/client'
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
      const work = async (): Promise<Outcome> => {
        await clock.sleep(random.integer(300))
        if (random.chance(0.1)) throw new Error('the application forgot to say')
        return random.chance(0.3) ? 'unknown' : tell(what.outcome)
      }
      try {
        workload.received(id, await workload.call(() => producer.sendInTransaction(messageOf(what), work)))
      } catch (error) {
        history.failed(id, textOf(error))
      }
    }
  }
  void run()
}
