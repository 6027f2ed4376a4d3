import { flag, GROUP, number, required, text, WHERE, where } from '../options.ts'
import type { CliCommand } from '../types.ts'

export const updateSubGroup: CliCommand = {
  noun: 'group',
  verb: 'update',
  alias: 'updateSubGroup',
  summary: 'Create a consumer group or change its settings',
  effect: 'change',
  options: [
    GROUP,
    ...WHERE,
    { flags: '-s, --consumeEnable <bool>', meaning: 'may consume', default: 'true' },
    { flags: '-m, --consumeFromMinEnable <bool>', meaning: 'may start at the first message', default: 'true' },
    { flags: '-d, --consumeBroadcastEnable <bool>', meaning: 'may broadcast', default: 'true' },
    { flags: '-o, --consumeMessageOrderly <bool>', meaning: 'consumes in order', default: 'false' },
    { flags: '-q, --retryQueueNums <n>', meaning: 'queues of the retry topic', default: '1' },
    { flags: '-r, --retryMaxTimes <n>', meaning: 'retries before the dead-letter queue', default: '16' },
    { flags: '-i, --brokerId <n>', meaning: 'broker id to consume from', default: '0' },
    { flags: '-w, --whichBrokerWhenConsumeSlowly <n>', meaning: 'broker id for readers far behind', default: '1' },
    { flags: '-a, --notifyConsumerIdsChanged <bool>', meaning: 'tell members when others come and go', default: 'true' },
  ],
  async run({ admin, options }) {
    const groupName = required(options, 'group')
    const settings = {
      groupName,
      consumeEnable: flag(options, 'consumeEnable') ?? true,
      consumeFromMinEnable: flag(options, 'consumeFromMinEnable') ?? true,
      consumeBroadcastEnable: flag(options, 'consumeBroadcastEnable') ?? true,
      consumeMessageOrderly: flag(options, 'consumeMessageOrderly') ?? false,
      retryQueueNums: number(options, 'retryQueueNums') ?? 1,
      retryMaxTimes: number(options, 'retryMaxTimes') ?? 16,
      brokerId: number(options, 'brokerId') ?? 0,
      whichBrokerWhenConsumeSlowly: number(options, 'whichBrokerWhenConsumeSlowly') ?? 1,
      notifyConsumerIdsChangedEnable: flag(options, 'notifyConsumerIdsChanged') ?? true,
    }
    const brokers = await admin.groups.update(settings, where(options))
    return { value: { ...settings, brokers }, notes: brokers.map((b) => `group ${groupName} is set at ${b.brokerName} (${b.address})`) }
  },
}

export const deleteSubGroup: CliCommand = {
  noun: 'group',
  verb: 'delete',
  alias: 'deleteSubGroup',
  summary: 'Delete a consumer group',
  effect: 'destroy',
  options: [GROUP, ...WHERE, { flags: '-r, --removeOffset <bool>', meaning: 'its committed offsets too', default: 'false' }],
  async run({ admin, options }) {
    const group = required(options, 'group')
    const brokers = await admin.groups.delete(group, { ...where(options), cleanOffsets: flag(options, 'removeOffset') ?? false })
    return { value: { group, brokers }, notes: [`group ${group} is deleted at ${brokers.map((b) => b.brokerName).join(', ')}`] }
  },
}

export const consumerProgress: CliCommand = {
  noun: 'group',
  verb: 'lag',
  alias: 'consumerProgress',
  summary: 'How far a group has come in each queue; without -g: the lag of every group',
  options: [
    { flags: '-g, --group <group>', meaning: 'the consumer group' },
    { flags: '-t, --topic <topic>', meaning: 'only this topic' },
  ],
  async run({ admin, options, say, progress: bars }) {
    const group = text(options, 'group')
    const topic = text(options, 'topic')
    if (group !== undefined) {
      const progress = await admin.groups.progress(group, topic === undefined ? {} : { topic })
      const rows = progress.queues.map((q) => [q.topic, q.brokerName, q.queueId, q.brokerOffset, q.consumerOffset, q.diff])
      const columns = ['topic', 'broker', 'queue', 'broker offset', 'consumer offset', 'lag']
      return { value: progress, tables: [{ columns, rows }], notes: [`lag of group ${group}: ${progress.diff} messages`] }
    }
    const groups = (await admin.groups.list()).filter((g) => !SYSTEM_GROUP.test(g.groupName))
    const bar = bars('asking for groups', groups.length)
    const value = await Promise.all(
      groups.map(async ({ groupName }) => {
        try {
          const { diff, queues } = await admin.groups.progress(groupName)
          return { group: groupName, lag: diff, queues: queues.length, members: await members(groupName) }
        } catch (error) {
          say(`group ${groupName}: ${(error as Error).message}`)
          return { group: groupName, lag: undefined, queues: 0, members: 0 }
        } finally {
          bar.done()
        }
      }),
    )
    const rows = value.map((g) => [g.group, g.members, g.queues, g.lag ?? 'unknown'])
    return { value, tables: [{ columns: ['group', 'members', 'queues', 'lag'], rows }] }

    async function members(name: string): Promise<number> {
      try {
        return (await admin.groups.connection(name)).connectionSet.length
      } catch {
        return 0
      }
    }
  },
}

/** Groups that every broker makes for itself (RocketMQ 5.3 `SubscriptionGroupManager#init`). */
const SYSTEM_GROUP = /^(CID_RMQ_SYS_|CID_ONS|TOOLS_CONSUMER$|FILTERSRV_CONSUMER$|SELF_TEST_C_GROUP$)/
