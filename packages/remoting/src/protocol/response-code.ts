/**
 * The one table of response codes: what the code means, whether a client should try again elsewhere, and the sentence for
 * docs/errors.md. Numbers and names are RocketMQ's (`RemotingSysResponseCode`, `ResponseCode`).
 */
export interface ResponseCodeEntry {
  readonly code: number
  readonly retryable: boolean
  readonly sentence: string
}

const entry = (code: number, sentence: string, retryable = false): ResponseCodeEntry => ({ code, retryable, sentence })

export const RESPONSE_CODES = {
  SUCCESS: entry(0, 'Done.'),
  SYSTEM_ERROR: entry(1, 'The server failed at this request; the remark says at what.', true),
  SYSTEM_BUSY: entry(2, 'The server has more waiting than it accepts; slow down and try again.', true),
  REQUEST_CODE_NOT_SUPPORTED: entry(3, 'This server does not know the request code.'),
  TRANSACTION_FAILED: entry(4, 'The transaction could not be ended.'),
  FLUSH_DISK_TIMEOUT: entry(10, 'The message is stored but was not on disk within the time for a synchronous flush.'),
  SLAVE_NOT_AVAILABLE: entry(11, 'The message is stored here but no replica was in sync.'),
  FLUSH_SLAVE_TIMEOUT: entry(12, 'The message is stored here but the replica did not confirm in time.'),
  MESSAGE_ILLEGAL: entry(13, 'The message breaks a limit: body, properties, topic length or delivery time.'),
  SERVICE_NOT_AVAILABLE: entry(14, 'The broker does not accept writes now: starting, stopping, disk full or failed.', true),
  VERSION_NOT_SUPPORTED: entry(15, 'The client is of a version that cannot do this.'),
  NO_PERMISSION: entry(16, 'The topic, group or broker does not permit this.', true),
  TOPIC_NOT_EXIST: entry(17, 'No such topic here.', true),
  TOPIC_EXIST_ALREADY: entry(18, 'The topic exists already.'),
  PULL_NOT_FOUND: entry(19, 'No new message at this offset yet.'),
  PULL_RETRY_IMMEDIATELY: entry(20, 'Nothing matched up to nextBeginOffset; pull again from there.'),
  PULL_OFFSET_MOVED: entry(21, 'The offset lies outside the queue; nextBeginOffset lies inside.'),
  QUERY_NOT_FOUND: entry(22, 'Nothing is stored under this key, offset or name.'),
  SUBSCRIPTION_PARSE_FAILED: entry(23, 'The filter expression cannot be understood.'),
  SUBSCRIPTION_NOT_EXIST: entry(24, 'The broker has no subscription of this group for the topic yet; it comes with the heartbeat.'),
  SUBSCRIPTION_NOT_LATEST: entry(25, 'The broker has an older subscription than the request names.'),
  SUBSCRIPTION_GROUP_NOT_EXIST: entry(26, 'No such consumer group here.'),
  FILTER_DATA_NOT_EXIST: entry(27, 'The compiled filter of this group is not known.'),
  FILTER_DATA_NOT_LATEST: entry(28, 'The compiled filter of this group is older than the request names.'),
  INVALID_PARAMETER: entry(29, 'A field of the request has a value that cannot be.'),
  TRANSACTION_SHOULD_COMMIT: entry(200, 'The transaction should commit.'),
  TRANSACTION_SHOULD_ROLLBACK: entry(201, 'The transaction should roll back.'),
  TRANSACTION_STATE_UNKNOW: entry(202, 'The state of the transaction is not known.'),
  TRANSACTION_STATE_GROUP_WRONG: entry(203, 'The transaction belongs to another producer group.'),
  NO_BUYER_ID: entry(204, 'The message lacks a buyer id.', true),
  NOT_IN_CURRENT_UNIT: entry(205, 'The message belongs to another unit.', true),
  CONSUMER_NOT_ONLINE: entry(206, 'No consumer of this group is connected.'),
  CONSUME_MSG_TIMEOUT: entry(207, 'The consumer did not answer in time.'),
  NO_MESSAGE: entry(208, 'No message at this place.'),
  POLLING_FULL: entry(209, 'Too many requests wait for messages of this queue.'),
  POLLING_TIMEOUT: entry(210, 'No message came within the time to wait.'),
  BROKER_NOT_EXIST: entry(211, 'No such broker.'),
  BROKER_DISPATCH_NOT_COMPLETE: entry(212, 'The broker still derives its queues from the log.'),
  BROADCAST_CONSUMPTION: entry(213, 'The group consumes by broadcast: its offsets are at the clients.'),
  FLOW_CONTROL: entry(215, 'Pulling too fast; try again shortly.', true),
  NOT_LEADER_FOR_QUEUE: entry(501, 'This broker does not lead the queue.'),
  ILLEGAL_OPERATION: entry(604, 'The operation came too late or is not allowed in this state.'),
  GO_AWAY: entry(1500, 'The server is closing; connect again.', true),
  USER_NOT_EXIST: entry(3001, 'No such user.'),
  POLICY_NOT_EXIST: entry(3002, 'No such policy.'),
} as const satisfies Record<string, ResponseCodeEntry>

export type ResponseCodeName = keyof typeof RESPONSE_CODES

/** Name to number: `ResponseCode.TOPIC_NOT_EXIST` is 17. */
export const ResponseCode = Object.freeze(Object.fromEntries(Object.entries(RESPONSE_CODES).map(([name, e]) => [name, e.code]))) as {
  readonly [N in ResponseCodeName]: (typeof RESPONSE_CODES)[N]['code']
}

const NAMES = new Map<number, ResponseCodeName>(Object.entries(RESPONSE_CODES).map(([name, e]) => [e.code, name as ResponseCodeName]))

export const responseCodeName = (code: number): ResponseCodeName | undefined => NAMES.get(code)

export const isRetryableCode = (code: number): boolean => {
  const name = NAMES.get(code)
  return name !== undefined && RESPONSE_CODES[name].retryable
}
