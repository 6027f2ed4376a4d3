import { LitePullMessage } from '@skylarkmq/remoting/protocol'
import { decodeRecords, GetMaxOffset, GetMinOffset, ResponseCode, SearchOffsetByTimestamp } from '@skylarkmq/remoting/protocol'
import { expectSuccess } from '@skylarkmq/remoting'
import type { MessageQueue } from '@skylarkmq/client'
import { RocketError } from '@skylarkmq/client'
import { NAMESPACE, number, text, time, TOPIC, topicOf } from '../options.ts'
import type { Progress } from '../progress.ts'
import type { CliCommand, CommandContext } from '../types.ts'

const GROUP = 'TOOLS_CONSUMER'
const SUBSCRIPTION_IN_HEADER = 4

interface Seen {
  readonly brokerName: string
  readonly queueId: number
  readonly queueOffset: number
  readonly tag: string | undefined
  readonly messageId: string | undefined
  readonly storedAt: string
  readonly body: string
}

export const consumeMessage: CliCommand = {
  noun: 'message',
  verb: 'consume',
  alias: 'consumeMessage',
  summary: 'Show messages of a topic or of one queue, committing nothing',
  options: [
    TOPIC,
    { flags: '-b, --brokerName <name>', meaning: 'only this broker' },
    { flags: '-i, --queueId <n>', meaning: 'only this queue (with -b)' },
    { flags: '-o, --offset <n>', meaning: 'from this offset (with -b and -i)' },
    { flags: '-s, --beginTimestamp <time>', meaning: 'stored from this time on' },
    { flags: '-e, --endTimestamp <time>', meaning: 'stored before this time' },
    { flags: '-c, --messageNumber <n>', meaning: 'at most so many of each queue', default: '128' },
    NAMESPACE,
  ],
  async run(context) {
    const { client, options } = context
    const topic = topicOf(options)
    const brokerName = text(options, 'brokerName')
    const queueId = number(options, 'queueId')
    const all = await client.core.subscribeQueues(topic, { refresh: true })
    const queues = all.filter(
      (q) => (brokerName === undefined || q.brokerName === brokerName) && (queueId === undefined || q.queueId === queueId),
    )
    if (queues.length === 0) {
      const known = all.map((q) => `${q.brokerName}/${q.queueId}`).join(', ')
      throw new RocketError(`topic ${topic} has no such queue; it has ${known || 'none'}`, { code: 'BAD_ARGUMENT', topic })
    }
    const bar = context.progress(`reading ${topic}`)
    const seen = (await Promise.all(queues.map((queue) => readQueue(context, queue, bar)))).flat()
    const rows = seen.map((m) => [m.brokerName, m.queueId, m.queueOffset, m.tag ?? '', m.messageId ?? '', m.storedAt, m.body.slice(0, 60)])
    const columns = ['broker', 'queue', 'offset', 'tag', 'message id', 'stored', 'body']
    return { value: seen, tables: [{ columns, rows }], notes: [`${seen.length} messages`] }
  },
}

async function readQueue({ client, options }: CommandContext, queue: MessageQueue, bar: Progress): Promise<Seen[]> {
  const { core } = client
  const { topic, queueId, brokerName } = queue
  const offsetOf = async (timestamp: number) =>
    expectSuccess(await core.invoke(brokerName, SearchOffsetByTimestamp, { topic, queueId, timestamp })).header().offset
  const begin = time(options, 'beginTimestamp')
  const end = time(options, 'endTimestamp')
  const min = expectSuccess(await core.invoke(brokerName, GetMinOffset, { topic, queueId })).header().offset
  const max =
    end === undefined ? expectSuccess(await core.invoke(brokerName, GetMaxOffset, { topic, queueId })).header().offset : await offsetOf(end)
  let offset = number(options, 'offset') ?? (begin === undefined ? min : await offsetOf(begin))
  const stop = Math.min(max, offset + (number(options, 'messageNumber') ?? 128))
  const seen: Seen[] = []
  bar.more(Math.max(0, stop - offset))
  while (offset < stop) {
    const header = {
      consumerGroup: GROUP,
      topic,
      queueId,
      queueOffset: offset,
      maxMsgNums: Math.min(32, stop - offset),
      sysFlag: SUBSCRIPTION_IN_HEADER,
      commitOffset: 0,
      suspendTimeoutMillis: 0,
      subscription: '*',
      subVersion: 0n,
      expressionType: 'TAG',
    }
    const answer = await core.invoke(brokerName, LitePullMessage, header)
    if (answer.code !== ResponseCode.SUCCESS && answer.code !== ResponseCode.PULL_RETRY_IMMEDIATELY) {
      if (answer.code === ResponseCode.PULL_NOT_FOUND || answer.code === ResponseCode.PULL_OFFSET_MOVED) break
      expectSuccess(answer)
    }
    for (const m of decodeRecords(Buffer.from(answer.body))) {
      seen.push({
        brokerName,
        queueId,
        queueOffset: m.queueOffset,
        tag: m.properties.get('TAGS'),
        messageId: m.properties.get('UNIQ_KEY'),
        storedAt: new Date(m.storeTimestamp).toISOString(),
        body: Buffer.from(m.body).toString('utf8'),
      })
    }
    const next = answer.header().nextBeginOffset
    bar.done(Math.min(next, stop) - offset)
    offset = next
  }
  return seen
}
