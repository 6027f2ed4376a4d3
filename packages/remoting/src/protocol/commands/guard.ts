import { defineCommand } from '../command.ts'
import { int, long, optional, string } from '../schema.ts'

/** Codes from 290001 on are SkylarkMQ's own: Apache's servers answer REQUEST_CODE_NOT_SUPPORTED, and askers do without. */

export const CloneGroupOffset = defineCommand({
  code: 314,
  name: 'CLONE_GROUP_OFFSET',
  server: 'broker',
  summary: 'Set a group to where another group is, in one topic or in all of them.',
  request: { srcGroup: string(), destGroup: string(), topic: optional(string()), offline: optional(string()) },
  resource: { topic: 'topic', group: 'destGroup' },
})

export const GetGroupHealth = defineCommand({
  code: 290_001,
  name: 'SKYLARK_GET_GROUP_HEALTH',
  server: 'broker',
  summary: 'What is wrong with the consumption of a group (without one: of all groups), as this broker sees it.',
  request: { group: optional(string()) },
  responseBody: 'GroupHealth',
  resource: { group: 'group' },
})

export const GetDeliveryFacts = defineCommand({
  code: 290_002,
  name: 'SKYLARK_GET_DELIVERY_FACTS',
  server: 'broker',
  summary:
    'What this broker knows of one message and a group: when it was delivered to whom, what was acknowledged, where the group began.',
  request: { group: string(), topic: string(), queueId: int(), queueOffset: long(), physicalOffset: optional(long()) },
  responseBody: 'DeliveryFacts',
  resource: { topic: 'topic', group: 'group' },
})

export const GetRouteReaders = defineCommand({
  code: 290_003,
  name: 'SKYLARK_GET_ROUTE_READERS',
  server: 'namesrv',
  summary: 'The clients that were told the address of a broker and are still connected to the NameServer.',
  request: { brokerName: string(), minAgeMs: optional(long()) },
  responseBody: 'RouteReaders',
})
