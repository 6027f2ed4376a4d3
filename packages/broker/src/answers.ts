import { ResponseCode } from '@skylarkmq/remoting/protocol'
import type { ResponseCodeName } from '@skylarkmq/remoting/protocol'
import type { Reply } from '@skylarkmq/remoting'

/** An answer that refuses: `remark` says what happened, with which value, and what to do. */
export interface Refusal {
  readonly code: number
  readonly remark: string
}

export const refuse = (name: ResponseCodeName, remark: string): Refusal => ({ code: ResponseCode[name], remark })

export const SUCCESS: Reply<never> = Object.freeze({ code: ResponseCode.SUCCESS })

/** A value of a client, safe to show: quoted, without control characters, cut when long. */
export const shown = (value: string): string => JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value)

export const topicMissing = (topic: string): Refusal =>
  refuse('TOPIC_NOT_EXIST', `topic[${plain(topic)}] not exist, apply first please! Create it with: mqadmin updateTopic -t NAME -c CLUSTER`)

export const groupMissing = (group: string): Refusal =>
  refuse(
    'SUBSCRIPTION_GROUP_NOT_EXIST',
    `subscription group [${plain(group)}] does not exist; create it with: mqadmin updateSubGroup -g NAME -c CLUSTER`,
  )

/** UPDATE_AND_GET_GROUP_FORBIDDEN took the topic away from the group. */
export const groupForbidden = (group: string, topic: string): Refusal =>
  refuse(
    'NO_PERMISSION',
    `the consumer group[${plain(group)}] is forbidden for topic[${plain(topic)}]; an operator set it so (updateAndGetGroupReadForbidden with readable=true undoes it)`,
  )

/** As `shown`, without the quotes: for remarks that have Apache's brackets. */
export const plain = (value: string): string => shown(value).slice(1, -1)
