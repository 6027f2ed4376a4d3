/**
 * The one table of response codes: what the code means, whether a client should try again elsewhere, and the sentence for
 * docs/errors.md. Numbers and names are RocketMQ's (`RemotingSysResponseCode`, `ResponseCode`).
 */
export interface ResponseCodeEntry {
  readonly code: number
  readonly retryable: boolean
  readonly sentence: string
  /** What a person does about it; commands are those of `skylark`. */
  readonly mend?: string
}

const entry = (code: number, sentence: string, retryable = false): ResponseCodeEntry => ({ code, retryable, sentence })
const mended = (mend: string, plain: ResponseCodeEntry): ResponseCodeEntry => ({ ...plain, mend })

export const RESPONSE_CODES = {
  SUCCESS: entry(0, 'Done.'),
  SYSTEM_ERROR: mended(
    'Read the remark, then the log of the server that it came from.',
    entry(1, 'The server failed at this request; the remark says at what.', true),
  ),
  SYSTEM_BUSY: mended(
    'Slow down; `skylark broker status` shows what waits. The remark names the bound.',
    entry(2, 'The server has more waiting than it accepts; slow down and try again.', true),
  ),
  REQUEST_CODE_NOT_SUPPORTED: mended(
    "Check that the address is a broker's or a NameServer's, as needed: `skylark cluster list`.",
    entry(3, 'This server does not know the request code.'),
  ),
  TRANSACTION_FAILED: entry(4, 'The transaction could not be ended.'),
  FLUSH_DISK_TIMEOUT: mended(
    'Look at the disk: `skylark_fsync_seconds` of the metrics; `flushDiskType=ASYNC_FLUSH` waits for no disk.',
    entry(10, 'The message is stored but was not on disk within the time for a synchronous flush.'),
  ),
  SLAVE_NOT_AVAILABLE: entry(11, 'The message is stored here but no replica was in sync.'),
  FLUSH_SLAVE_TIMEOUT: entry(12, 'The message is stored here but the replica did not confirm in time.'),
  MESSAGE_ILLEGAL: mended(
    'The remark names the limit; `skylark broker config` shows `maxMessageSize`.',
    entry(13, 'The message breaks a limit: body, properties, topic length or delivery time.'),
  ),
  SERVICE_NOT_AVAILABLE: mended(
    '`skylark broker status`: `storeRefusal` says why; make room on the disk, or let the broker finish starting.',
    entry(14, 'The broker does not accept writes now: starting, stopping, disk full or failed.', true),
  ),
  VERSION_NOT_SUPPORTED: entry(15, 'The client is of a version that cannot do this.'),
  NO_PERMISSION: mended(
    '`skylark topic route` shows the permission of each broker; `skylark topic perm -p 6` and `skylark namesrv add-write` give it back.',
    entry(16, 'The topic, group or broker does not permit this.', true),
  ),
  TOPIC_NOT_EXIST: mended(
    '`skylark topic list` shows what there is, `skylark topic update -t NAME` creates one.',
    entry(17, 'No such topic here.', true),
  ),
  TOPIC_EXIST_ALREADY: entry(18, 'The topic exists already.'),
  PULL_NOT_FOUND: entry(19, 'No new message at this offset yet.'),
  PULL_RETRY_IMMEDIATELY: entry(20, 'Nothing matched up to nextBeginOffset; pull again from there.'),
  PULL_OFFSET_MOVED: mended(
    'Clients correct it themselves; `skylark topic status` shows where the queues begin and end.',
    entry(21, 'The offset lies outside the queue; nextBeginOffset lies inside.'),
  ),
  QUERY_NOT_FOUND: mended(
    'Widen the span of time (`-b`, `-e`); `skylark topic status` shows whether the messages are still kept.',
    entry(22, 'Nothing is stored under this key, offset or name.'),
  ),
  SUBSCRIPTION_PARSE_FAILED: mended(
    'Write `*`, `TagA || TagB`, or an SQL92 condition; the remark shows the place.',
    entry(23, 'The filter expression cannot be understood.'),
  ),
  SUBSCRIPTION_NOT_EXIST: mended(
    'It passes with the next heartbeat; `skylark group clients` shows what each member subscribes to.',
    entry(24, 'The broker has no subscription of this group for the topic yet; it comes with the heartbeat.'),
  ),
  SUBSCRIPTION_NOT_LATEST: mended(
    'It passes with the next heartbeat; `skylark group doctor` finds members that differ.',
    entry(25, 'The broker has an older subscription than the request names.'),
  ),
  SUBSCRIPTION_GROUP_NOT_EXIST: mended(
    '`skylark group list` shows what there is, `skylark group update -g NAME` creates one.',
    entry(26, 'No such consumer group here.'),
  ),
  FILTER_DATA_NOT_EXIST: entry(27, 'The compiled filter of this group is not known.'),
  FILTER_DATA_NOT_LATEST: entry(28, 'The compiled filter of this group is older than the request names.'),
  INVALID_PARAMETER: mended(
    'The remark names the field, its value and what is allowed.',
    entry(29, 'A field of the request has a value that cannot be.'),
  ),
  TRANSACTION_SHOULD_COMMIT: entry(200, 'The transaction should commit.'),
  TRANSACTION_SHOULD_ROLLBACK: entry(201, 'The transaction should roll back.'),
  TRANSACTION_STATE_UNKNOW: entry(202, 'The state of the transaction is not known.'),
  TRANSACTION_STATE_GROUP_WRONG: entry(203, 'The transaction belongs to another producer group.'),
  NO_BUYER_ID: entry(204, 'The message lacks a buyer id.', true),
  NOT_IN_CURRENT_UNIT: entry(205, 'The message belongs to another unit.', true),
  CONSUMER_NOT_ONLINE: mended(
    'Start a consumer; `skylark group clients` and `skylark group doctor` show who is there.',
    entry(206, 'No consumer of this group is connected.'),
  ),
  CONSUME_MSG_TIMEOUT: entry(207, 'The consumer did not answer in time.'),
  NO_MESSAGE: mended(
    'The remark says why: pop again; what was acknowledged or has a newer handle needs nothing. `skylark topic status` shows the offsets.',
    entry(208, 'No message at this place.'),
  ),
  POLLING_FULL: mended(
    'Fewer consumers, or longer pulls; `skylark broker status`: `pullHeldRequests` counts those that wait.',
    entry(209, 'Too many requests wait for messages of this queue.'),
  ),
  POLLING_TIMEOUT: mended(
    'Nothing, if no message came; else compare the clocks of client and broker.',
    entry(210, 'No message came within the time to wait.'),
  ),
  BROKER_NOT_EXIST: mended('`skylark cluster list` shows the brokers that are registered.', entry(211, 'No such broker.')),
  BROKER_DISPATCH_NOT_COMPLETE: entry(212, 'The broker still derives its queues from the log.'),
  BROADCAST_CONSUMPTION: entry(213, 'The group consumes by broadcast: its offsets are at the clients.'),
  FLOW_CONTROL: mended(
    'Pull less at a time; `skylark group lag` shows where it piles up.',
    entry(215, 'Pulling too fast; try again shortly.', true),
  ),
  NOT_LEADER_FOR_QUEUE: entry(501, 'This broker does not lead the queue.'),
  ILLEGAL_OPERATION: mended(
    'The remark says what the state is; `skylark explain` and the message id show where a message stands.',
    entry(604, 'The operation came too late or is not allowed in this state.'),
  ),
  GO_AWAY: mended('Nothing: clients connect anew, here or elsewhere.', entry(1500, 'The server is closing; connect again.', true)),
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
