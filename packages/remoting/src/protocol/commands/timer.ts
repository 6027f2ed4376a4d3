import { defineCommand } from '../command.ts'
import { int, long, optional, string } from '../schema.ts'

export const GetTimerCheckPoint = defineCommand({
  code: 60,
  name: 'GET_TIMER_CHECK_POINT',
  server: 'broker',
  summary: 'How far scheduled messages have been taken over and delivered.',
  responseBody: 'TimerCheckPoint',
})

export const GetTimerMetrics = defineCommand({
  code: 61,
  name: 'GET_TIMER_METRICS',
  server: 'broker',
  summary: 'How many scheduled messages of each topic wait for their time.',
  responseBody: 'TimerMetrics',
})

export const ListScheduledMessages = defineCommand({
  code: 290_020,
  name: 'SKYLARK_LIST_SCHEDULED_MESSAGES',
  server: 'broker',
  summary: 'Messages that wait for their time, next first, page by page.',
  request: { topic: optional(string()), max: optional(int()), afterMs: optional(long()), afterOrigin: optional(long()) },
  responseBody: 'ScheduledMessages',
  resource: { topic: 'topic' },
})
