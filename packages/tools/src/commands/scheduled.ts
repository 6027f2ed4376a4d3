import { number, text, where, WHERE } from '../options.ts'
import type { CliCommand } from '../types.ts'

const LIST_DEFAULT = 32
const iso = (ms: number | undefined): string => (ms === undefined ? '' : new Date(ms).toISOString())

export const scheduledMessages: CliCommand = {
  noun: 'message',
  verb: 'scheduled',
  alias: 'scheduledMessages',
  summary: 'Messages that wait for their time: how many of each topic, or those of one topic, next first',
  options: [
    { flags: '-t, --topic <topic>', meaning: 'list those of this topic' },
    { flags: '-m, --max <count>', meaning: `list so many (default: ${LIST_DEFAULT})` },
    ...WHERE,
  ],
  async run({ admin, options }) {
    const topic = text(options, 'topic')
    if (topic === undefined) {
      const counts = [...(await admin.scheduled.counts(where(options)))].sort(([a], [b]) => (a < b ? -1 : 1))
      const value = Object.fromEntries(counts)
      return counts.length === 0
        ? { value, notes: ['no message waits for its time'] }
        : { value, tables: [{ columns: ['topic', 'waiting'], rows: counts }] }
    }
    const value = await admin.scheduled.list(topic, { max: number(options, 'max') ?? LIST_DEFAULT })
    if (value.length === 0) return { value, notes: [`no message of topic ${topic} waits for its time`] }
    const rows = value.map((m) => [
      iso(m.deliverAtMs),
      m.messageId ?? '',
      m.offsetMessageId ?? '',
      m.keys ?? '',
      m.tags ?? '',
      iso(m.storedAtMs),
      m.brokerName,
    ])
    return { value, tables: [{ columns: ['deliver at', 'message id', 'offset message id', 'keys', 'tag', 'stored', 'broker'], rows }] }
  },
}
