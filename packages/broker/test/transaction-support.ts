import { CheckTransactionState, EndTransaction, SYS_FLAG, decodeRecord, parseOffsetMessageId } from '@skylarkmq/remoting/protocol'
import type { RequestOf, StoredMessage } from '@skylarkmq/remoting/protocol'
import { clientHandler } from '@skylarkmq/remoting'
import type { ClientHandler } from '@skylarkmq/remoting'
import { messagesIn, textOf } from './support.ts'
import type { Scene, TestClient } from './support.ts'

export const COMMIT = SYS_FLAG.TRANSACTION_COMMIT
export const ROLLBACK = SYS_FLAG.TRANSACTION_ROLLBACK

export interface Half {
  readonly queueOffset: number
  readonly physicalOffset: number
  readonly id: string
}

export async function sendHalf(client: TestClient, body: string, properties: Record<string, string> = {}, topic = 'orders'): Promise<Half> {
  const all = { TRAN_MSG: 'true', PGROUP: 'pg', UNIQ_KEY: `key-${body}`, ...properties }
  const answer = await client.send(topic, body, { sysFlag: SYS_FLAG.TRANSACTION_PREPARED }, all)
  const { msgId, queueOffset, transactionId } = answer.header()
  return { queueOffset, physicalOffset: parseOffsetMessageId(msgId)!.physicalOffset, id: transactionId ?? '' }
}

type EndHeader = RequestOf<typeof EndTransaction>

export const endHeader = (half: Half, commitOrRollback: number, more: Partial<EndHeader> = {}): EndHeader => ({
  producerGroup: 'pg',
  tranStateTableOffset: half.queueOffset,
  commitLogOffset: half.physicalOffset,
  commitOrRollback,
  fromTransactionCheck: false,
  msgId: half.id,
  transactionId: half.id,
  ...more,
})

export const end = (client: TestClient, half: Half, commitOrRollback: number, more: Partial<EndHeader> = {}) =>
  client.invoke(EndTransaction, endHeader(half, commitOrRollback, more))

export async function bodiesIn(client: TestClient, topic = 'orders', queueId = 0): Promise<string[]> {
  return (await allIn(client, topic, queueId)).map(textOf)
}

export async function allIn(client: TestClient, topic = 'orders', queueId = 0): Promise<StoredMessage[]> {
  const found: StoredMessage[] = []
  for (let queueOffset = 0; ; ) {
    const answer = await client.pull(topic, { queueId, queueOffset })
    if (answer.code !== 0) return found
    found.push(...messagesIn(answer))
    queueOffset = answer.header().nextBeginOffset
  }
}

export interface Asked {
  readonly header: RequestOf<typeof CheckTransactionState>
  readonly message: StoredMessage
}

/** A producer of group `pg` that is asked how transactions ended, and answers by `verdict` (undefined: not at all). */
export async function producer(
  scene: Scene,
  name: string,
  verdict: (body: string) => number | undefined = () => undefined,
  group = 'pg',
): Promise<{ client: TestClient; asked: Asked[] }> {
  const asked: Asked[] = []
  const onCheck: ClientHandler = clientHandler(CheckTransactionState, (header, { body }) => {
    const message = decodeRecord(body)!
    asked.push({ header, message })
    const commitOrRollback = verdict(textOf(message))
    if (commitOrRollback === undefined) return undefined
    const { tranStateTableOffset, commitLogOffset, msgId, transactionId, topic } = header
    const answer = { tranStateTableOffset, commitLogOffset, msgId, transactionId, topic, commitOrRollback, producerGroup: group }
    void client.remoting
      .notify(client.address, EndTransaction, { ...answer, fromTransactionCheck: true }, { timeoutMs: 3000 })
      .catch(() => undefined)
    return undefined
  })
  const client = scene.client(name, [onCheck])
  await client.heartbeat(name, [], [group])
  return { client, asked }
}
