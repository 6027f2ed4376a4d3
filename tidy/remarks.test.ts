/**
 * What servers answer when they refuse. People and scripts match on the beginnings that Apache's sentences have; whoever reads further is
 * told the value that was asked for and what to do.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { RESPONSE_CODES } from '@skylarkmq/remoting/protocol'
import type { ResponseCodeEntry, ResponseCodeName } from '@skylarkmq/remoting/protocol'
import { expect, test } from 'vitest'

const PACKAGES = join(import.meta.dirname, '../packages')

const sources = (folder: string): string[] =>
  readdirSync(join(PACKAGES, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(join(PACKAGES, folder, name), 'utf8'))

interface Refusal {
  readonly code: ResponseCodeName
  /** As it stands in the source, without its quotes; values are `${…}`. */
  readonly remark: string
}

/** The literal remarks of `refuse('CODE', …)` and of `{ code: ResponseCode.CODE, remark: … }`. */
const refusals: readonly Refusal[] = [...sources('broker/src'), ...sources('namesrv/src')].flatMap((text) =>
  [
    ...text.matchAll(
      /(?:refuse\(\s*'|code: ResponseCode\.)([A-Z_]+)'?,\s*(?:remark: )?([`'])((?:\\.|(?!\2)[^])*)\2(?:\s*\+\s*([`'])((?:\\.|(?!\4)[^])*)\4)*/g,
    ),
  ].map((found) => ({ code: found[1] as ResponseCodeName, remark: `${found[3]}${found[5] ?? ''}` })),
)

/** Values are told apart by nothing: `…` stands for each. */
const plain = (remark: string): string => remark.replaceAll(/\$\{(?:[^{}]|\{[^{}]*\})*\}/g, '…')

/** RocketMQ 5.3, by code; `…` is a value. */
const APACHE: readonly (readonly [ResponseCodeName, string])[] = [
  ['TOPIC_NOT_EXIST', 'topic[…] not exist, apply first please!'],
  ['SUBSCRIPTION_GROUP_NOT_EXIST', 'subscription group […] does not exist'],
  ['SUBSCRIPTION_GROUP_NOT_EXIST', 'Group … not exist!'],
  ['NO_PERMISSION', 'the consumer group[…] is forbidden for topic[…]'],
  ['NO_PERMISSION', 'the broker[…] pulling message is forbidden'],
  ['NO_PERMISSION', 'the broker[…] for lite pull consumer is forbidden'],
  ['NO_PERMISSION', 'the broker[…] sending message is forbidden'],
  ['NO_PERMISSION', 'the broker […] sending transaction message is forbidden'],
  ['NO_PERMISSION', 'subscription group no permission, …'],
  ['NO_PERMISSION', 'the topic[…] pulling message is forbidden'],
  ['NO_PERMISSION', 'the topic[…] sending message is forbidden'],
  ['NO_PERMISSION', 'the consumer group[…] can not consume by broadcast way'],
  ['NO_PERMISSION', 'Sending message to topic[…] is forbidden.'],
  ['NO_PERMISSION', 'Can not update config in black list.'],
  ['NO_PERMISSION', 'retry topic is not allowed to set mode'],
  ['INVALID_PARAMETER', 'queueId[…] is illegal, topic:[…]'],
  ['INVALID_PARAMETER', 'request queueId[…] is illegal'],
  ['INVALID_PARAMETER', 'The topic[…] is conflict with system topic.'],
  ['INVALID_PARAMETER', 'The specified topic is blank.'],
  ['INVALID_PARAMETER', "the pop message's num is greater than …"],
  ['SUBSCRIPTION_NOT_EXIST', "the consumer's group info not exist"],
  ['SUBSCRIPTION_NOT_EXIST', "the consumer's subscription not exist"],
  ['SUBSCRIPTION_NOT_LATEST', "the consumer's subscription not latest"],
  ['SUBSCRIPTION_PARSE_FAILED', "parse the consumer's subscription failed"],
  ['CONSUMER_NOT_ONLINE', 'the consumer group[…] not online'],
  ['POLLING_TIMEOUT', 'the broker[…] pop message is timeout too much'],
  ['MESSAGE_ILLEGAL', 'message topic length too long'],
  ['MESSAGE_ILLEGAL', 'batch request does not support retry group …'],
  ['NO_MESSAGE', 'offset is illegal, key:…@…, commit:…, store:…~…'],
  ['SERVICE_NOT_AVAILABLE', 'recall failed, broker service not available'],
  ['ILLEGAL_OPERATION', 'recall failed, timestamp invalid'],
  ['ILLEGAL_OPERATION', 'recall failed, topic not match'],
  ['ILLEGAL_OPERATION', 'recall handle is invalid'],
  ['QUERY_NOT_FOUND', 'No config item, Namespace: … Key: …'],
  ['SYSTEM_ERROR', 'The stats <…> <…> not exist'],
  ['SYSTEM_ERROR', '…@… is not exist!'],
  ['SYSTEM_ERROR', 'no consumer for this group, …'],
  ['SYSTEM_ERROR', 'can not find message by the offset, …'],
  ['SYSTEM_ERROR', 'look message by offset failed, …'],
  ['SYSTEM_ERROR', 'No Any Consumer online in the consumer group: […]'],
  ['SYSTEM_ERROR', 'The Consumer <…> <…> not online'],
  ['SYSTEM_ERROR', 'Target offset … not in consume queue range […-…]'],
  ['SYSTEM_ERROR', 'the producer group[…] not exist'],
  ['SYSTEM_ERROR', 'The broker does not support consumer to filter message by …'],
  ['SYSTEM_ERROR', 'reply message properties[REPLY_TO_CLIENT] is null'],
  ['SYSTEM_ERROR', 'push reply message fail, channel of <…> not found.'],
  ['SYSTEM_ERROR', 'push reply message to …fail.'],
  ['SYSTEM_ERROR', 'Find prepared transaction message failed'],
  ['SYSTEM_ERROR', 'The producer group wrong'],
  ['SYSTEM_ERROR', 'The transaction state table offset wrong'],
  ['SYSTEM_ERROR', 'The commit log offset wrong'],
  ['SYSTEM_ERROR', 'Exception was thrown when putting message back to …'],
  ['SYSTEM_ERROR', 'accurate timer message is not enabled, timerWheelEnable is false'],
]

test('the servers have many ways to refuse, and this test sees them', () => {
  expect(refusals.length).toBeGreaterThan(80)
})

test.each(APACHE)('%s: "%s" is how Apache begins, and so do we; more follows', (code, beginning) => {
  const ours = refusals.filter((refusal) => refusal.code === code).map(({ remark }) => plain(remark))
  const fitting = ours.filter((remark) => remark.startsWith(beginning))
  expect(fitting, ours.join('\n')).not.toEqual([])
})

/** Names of Apache's `GetMessageStatus`: how a pull went. */
const STATUS = /^[A-Z_]+$/
/** Nothing was given whose value could be told. */
const WITHOUT_VALUE =
  /is empty|has no|is blank|is null|holds no|is missing|recallMessageEnable=false|recall handle is invalid|topic lists are switched off/

test('every remark tells a value: what was asked for, or what was found', () => {
  const silent = refusals.filter(({ remark }) => !remark.includes('${') && !STATUS.test(remark) && !WITHOUT_VALUE.test(remark))
  expect(silent).toEqual([])
})

/** After Apache's beginning: a reason, a bound, or what to do. */
test('every remark goes on where Apache ends, or its code has a command that helps', () => {
  const bare = refusals.filter(({ code, remark }) => {
    const isApaches = APACHE.some(([other, beginning]) => other === code && plain(remark) === beginning)
    const { mend = '' }: ResponseCodeEntry = RESPONSE_CODES[code]
    return isApaches && !/`skylark /.test(mend)
  })
  expect(bare).toEqual([])
})

test('whatever code a server answers, docs/errors.md says what to do about it', () => {
  const answered = new Set(
    [...sources('broker/src'), ...sources('namesrv/src'), ...sources('remoting/src/transport')].flatMap((text) =>
      [...text.matchAll(/(?:refuse\(\s*'|ResponseCode\.|code: ')([A-Z_]+)\b/g)].map(([, code]) => code as ResponseCodeName),
    ),
  )
  const codes = [...answered].filter((code) => Object.hasOwn(RESPONSE_CODES, code) && !SOUND.has(code))
  expect(codes.length).toBeGreaterThan(15)
  expect(codes.filter((code) => (RESPONSE_CODES[code] as ResponseCodeEntry).mend === undefined)).toEqual([])
})

/** No errors: that is how reading goes. */
const SOUND: ReadonlySet<ResponseCodeName> = new Set(['SUCCESS', 'PULL_NOT_FOUND', 'PULL_RETRY_IMMEDIATELY'])
