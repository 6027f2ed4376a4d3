import { RocketError } from '@skylarkmq/client'
import type { ReceivedMessage } from '@skylarkmq/client'
import { flag, NAMESPACE, number, required, text, time, TOPIC, topicOf } from '../options.ts'
import type { CliCommand, Outcome } from '../types.ts'

const BODY_SHOWN = 2048

function plain(m: ReceivedMessage) {
  return {
    topic: m.topic,
    messageId: m.messageId,
    offsetMessageId: m.offsetMessageId,
    broker: m.brokerName,
    queueId: m.queueId,
    queueOffset: m.queueOffset,
    tag: m.tags,
    keys: m.keys,
    storedAt: new Date(m.stored.storeTimestamp).toISOString(),
    bornAt: new Date(m.stored.bornTimestamp).toISOString(),
    bornHost: `${m.stored.bornHost}:${m.stored.bornPort}`,
    reconsumeTimes: m.reconsumeTimes,
    properties: Object.fromEntries(m.properties),
    bodyBytes: m.body.length,
    body: m.text.length > BODY_SHOWN ? `${m.text.slice(0, BODY_SHOWN)}… (${m.body.length} bytes)` : m.text,
  }
}

function one(message: ReceivedMessage): Outcome {
  const value = plain(message)
  const rows = Object.entries(value).map(([name, v]) => [name, typeof v === 'object' ? JSON.stringify(v) : String(v ?? '')])
  return { value, tables: [{ columns: ['field', 'value'], rows }] }
}

function many(messages: readonly ReceivedMessage[], nothing: string): Outcome {
  const value = messages.map(plain)
  const rows = value.map((m) => [m.messageId, m.offsetMessageId, m.queueId, m.queueOffset, m.tag ?? '', m.storedAt])
  const columns = ['message id', 'offset message id', 'queue', 'offset', 'tag', 'stored']
  return messages.length === 0 ? { value, notes: [nothing], exitCode: 1 } : { value, tables: [{ columns, rows }] }
}

export const queryMsgById: CliCommand = {
  noun: 'message',
  verb: 'by-id',
  alias: 'queryMsgById',
  summary: 'One message, by the id that the producer or the broker gave it',
  options: [
    { flags: '-i, --msgId <id>', meaning: 'message id or offset message id', required: true },
    { flags: '-t, --topic <topic>', meaning: 'the topic: needed for an id that the producer made' },
  ],
  async run({ admin, options }) {
    const id = required(options, 'msgId')
    const topic = text(options, 'topic')
    if (topic !== undefined) {
      const [found] = await admin.messages.queryByUniqueKey(topic, id)
      if (found) return one(found)
    }
    try {
      return one(await admin.messages.viewById(id, topic))
    } catch (error) {
      const hint =
        topic === undefined ? 'If it is the id that the producer made, name the topic too: -t TOPIC' : `No message of topic ${topic} has it`
      throw new RocketError(`no message with the id ${id} was found. ${hint}. (${(error as Error).message})`, {
        code: 'QUERY_NOT_FOUND',
        cause: error,
      })
    }
  },
}

export const queryMsgByKey: CliCommand = {
  noun: 'message',
  verb: 'by-key',
  alias: 'queryMsgByKey',
  summary: 'The messages of a topic that have a key',
  options: [
    TOPIC,
    { flags: '-k, --msgKey <key>', meaning: 'the key', required: true },
    { flags: '-b, --beginTimestamp <time>', meaning: 'stored from this time on (ms since 1970, or a date)' },
    { flags: '-e, --endTimestamp <time>', meaning: 'stored up to this time' },
    { flags: '-m, --maxNum <n>', meaning: 'at most so many', default: '64' },
  ],
  async run({ admin, options }) {
    const [from, to] = [time(options, 'beginTimestamp'), time(options, 'endTimestamp')]
    const query = { max: number(options, 'maxNum') ?? 64, ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) }
    const topic = required(options, 'topic')
    const key = required(options, 'msgKey')
    return many(await admin.messages.queryByKey(topic, key, query), `no message of topic ${topic} has the key ${key} in this span of time`)
  },
}

export const sendMessage: CliCommand = {
  noun: 'message',
  verb: 'send',
  alias: 'sendMessage',
  summary: 'Send one message',
  effect: 'change',
  options: [
    TOPIC,
    { flags: '-p, --body <text>', meaning: 'the body, as UTF-8 text', required: true },
    { flags: '-k, --keys <keys>', meaning: 'keys, separated by spaces' },
    { flags: '-c, --tags <tag>', meaning: 'the tag' },
    { flags: '-b, --broker <name>', meaning: 'this broker (with -i)' },
    { flags: '-i, --qid <queueId>', meaning: 'this queue (with -b)' },
    { flags: '-m, --msgTraceEnable <bool>', meaning: 'write a message trace of it', default: 'false' },
    NAMESPACE,
  ],
  async run({ client, options }) {
    const topic = topicOf(options)
    const brokerName = text(options, 'broker')
    const queueId = number(options, 'qid')
    if ((brokerName === undefined) !== (queueId === undefined)) {
      throw new RocketError('-b and -i go together: a broker name and a queue id', { code: 'BAD_ARGUMENT' })
    }
    await using producer = client.producer({ group: 'TOOLS_PRODUCER', messageTrace: flag(options, 'msgTraceEnable') ?? false })
    const queue = brokerName === undefined || queueId === undefined ? undefined : { topic, brokerName, queueId }
    const message = { topic, body: required(options, 'body'), tags: text(options, 'tags'), keys: text(options, 'keys')?.split(' ') }
    const receipt = await producer.send(message, { queue, timeoutMs: 5000 })
    const row = [receipt.queue.brokerName, receipt.queue.queueId, receipt.queueOffset, receipt.status, receipt.messageId]
    return { value: receipt, tables: [{ columns: ['broker', 'queue', 'offset', 'status', 'message id'], rows: [row] }] }
  },
}
