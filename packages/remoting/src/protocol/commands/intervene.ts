import { defineCommand } from '../command.ts'
import { boolean, optional, string } from '../schema.ts'

/** What operators look up or set right now and then. */
export const QueryCorrectionOffset = defineCommand({
  code: 308,
  name: 'QUERY_CORRECTION_OFFSET',
  server: 'broker',
  summary: 'How far the slowest group is in each queue of a topic; 9223372036854775807 where the group to compare is behind it.',
  request: { topic: string(), compareGroup: string(), filterGroups: optional(string()) },
  responseBody: 'QueryCorrectionOffsetBody',
  resource: { topic: 'topic', group: 'compareGroup' },
})

export const ResumeCheckHalfMessage = defineCommand({
  code: 323,
  name: 'RESUME_CHECK_HALF_MESSAGE',
  server: 'broker',
  summary: 'Ask the producer again how a transaction ended that was put aside because nobody could say.',
  request: { topic: optional(string()), msgId: string() },
})

export const QuerySubscriptionByConsumer = defineCommand({
  code: 345,
  name: 'QUERY_SUBSCRIPTION_BY_CONSUMER',
  server: 'broker',
  summary: 'What the members of a group subscribe to in a topic.',
  request: { group: string(), topic: string() },
  responseBody: 'QuerySubscriptionResponseBody',
  resource: { topic: 'topic', group: 'group' },
})

export const UpdateAndGetGroupForbidden = defineCommand({
  code: 353,
  name: 'UPDATE_AND_GET_GROUP_FORBIDDEN',
  server: 'broker',
  summary: 'Whether a group may read a topic; with readable, set it.',
  request: { group: string(), topic: string(), readable: optional(boolean()) },
  responseBody: 'GroupForbidden',
  resource: { topic: 'topic', group: 'group' },
})

export const GetAllMessageRequestMode = defineCommand({
  code: 402,
  name: 'GET_ALL_MESSAGE_REQUEST_MODE',
  server: 'broker',
  summary: 'Which groups pop which topics.',
  responseBody: 'MessageRequestModeSerializeWrapper',
})
