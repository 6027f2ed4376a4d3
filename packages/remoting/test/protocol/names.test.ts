import { describe, expect, test } from 'vitest'
import {
  allCommands,
  checkGroupName,
  checkTopicName,
  COMMANDS,
  dlqTopic,
  groupOfRetryTopic,
  isSendForbidden,
  isSystemTopic,
  retryTopic,
} from '../../src/protocol/index.ts'
import * as door from '../../src/protocol/index.ts'

describe('names that people choose', () => {
  test.each(['T', 'Topic_Test-1', '%RETRY%g', 'a|b', 'x'.repeat(127), `%RETRY%${'g'.repeat(248)}`])('topic %s is fine', (name) => {
    expect(checkTopicName(name)).toBeUndefined()
  })

  test.each([
    ['', 'blank'],
    ['  ', 'blank'],
    ['../etc/passwd', 'illegal characters'],
    ['a\u0000b', 'illegal characters'],
    ['a b', 'illegal characters'],
    ['主题', 'illegal characters'],
    ['a\n', 'illegal characters'],
    ['x'.repeat(128), '128 characters'],
    [`%DLQ%${'g'.repeat(251)}`, '256 characters'],
  ])('topic %j is refused: %s', (name, why) => {
    expect(checkTopicName(name)).toContain(why)
  })

  test('a group is as a topic, up to 120 characters, and not Apache’s placeholder', () => {
    expect(checkGroupName('g'.repeat(120))).toBeUndefined()
    expect(checkGroupName('g'.repeat(121))).toContain('121 characters')
    expect(checkGroupName('DEFAULT_PRODUCER')).toContain('placeholder')
    expect(checkGroupName('a/b')).toContain('illegal characters')
  })
})

test('system topics: some are written by the broker only', () => {
  expect(['TBW102', 'BenchmarkTest', 'rmq_sys_wheel_timer', 'SCHEDULE_TOPIC_XXXX'].every(isSystemTopic)).toBe(true)
  expect(['SCHEDULE_TOPIC_XXXX', 'RMQ_SYS_TRANS_HALF_TOPIC', 'OFFSET_MOVED_EVENT'].every(isSendForbidden)).toBe(true)
  expect(['TBW102', 'BenchmarkTest', 'RMQ_SYS_TRACE_TOPIC', 'TopicTest'].some(isSendForbidden)).toBe(false)
  expect(groupOfRetryTopic(retryTopic('g'))).toBe('g')
  expect(groupOfRetryTopic(dlqTopic('g'))).toBeUndefined()
})

test('the door exports every declared command by its name', () => {
  const exported = door as unknown as Record<string, unknown>
  expect(allCommands().length).toBe(Object.keys(COMMANDS).length)
  for (const [name, command] of Object.entries(COMMANDS)) expect(exported[name], name).toBe(command)
})
