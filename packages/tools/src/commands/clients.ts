import { GROUP, required, text } from '../options.ts'
import type { CliCommand } from '../types.ts'

export const groupList: CliCommand = {
  noun: 'group',
  verb: 'list',
  alias: 'groupList',
  summary: 'The consumer groups and their settings',
  options: [{ flags: '-c, --cluster <cluster>', meaning: 'only of this cluster' }],
  async run({ admin, options }) {
    const groups = await admin.groups.list({ cluster: text(options, 'cluster') })
    const rows = groups.map((g) => [g.groupName, g.consumeEnable ? 'yes' : 'no', g.retryMaxTimes, g.consumeMessageOrderly ? 'yes' : 'no'])
    return { value: groups, tables: [{ columns: ['group', 'may consume', 'retries', 'in order'], rows }] }
  },
}

export const getConsumerConfig: CliCommand = {
  noun: 'group',
  verb: 'config',
  alias: 'getConsumerConfig',
  summary: 'The settings of a consumer group',
  options: [GROUP],
  async run({ admin, options }) {
    const name = required(options, 'group')
    const found = (await admin.groups.list()).find(({ groupName }) => groupName === name)
    if (found === undefined) return { value: null, notes: [`there is no group ${name}; see: skylark group list`], exitCode: 1 }
    const rows = Object.entries(found).map(([key, value]) => [key, typeof value === 'object' ? JSON.stringify(value) : String(value)])
    return { value: found, tables: [{ columns: ['setting', 'value'], rows }] }
  },
}

export const consumerConnection: CliCommand = {
  noun: 'group',
  verb: 'clients',
  alias: 'consumerConnection',
  summary: 'Who consumes in a group, and what it subscribes to',
  options: [GROUP],
  async run({ admin, options }) {
    const connection = await admin.groups.connection(required(options, 'group'))
    const clients = connection.connectionSet.map((c) => [c.clientId, c.clientAddr, c.language, c.version])
    const topics = Object.values(connection.subscriptionTable).map((s) => [s.topic, s.subString, s.expressionType])
    const { consumeType, messageModel, consumeFromWhere } = connection
    return {
      value: connection,
      tables: [
        { columns: ['client', 'address', 'language', 'version'], rows: clients },
        { columns: ['topic', 'expression', 'type'], rows: topics },
      ],
      notes: [`${consumeType}, ${messageModel}, ${consumeFromWhere}`],
    }
  },
}
