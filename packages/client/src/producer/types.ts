import type { MessageQueue } from '@skylarkmq/remoting/protocol'
import type { ReceivedMessage } from '../consumer/received-message.ts'
import type { StandardSchema } from '../consumer/schema.ts'
import type { CloseOptions } from '../core/types.ts'
import type { MessageTraceOption } from '../message-trace/tracer.ts'
import type { OnInvalidSend } from './outgoing-check.ts'
import type { ReplyOptions, RequestOptions } from './request-reply.ts'
import type { TransactionCheck, TransactionReceipt, TransactionWork } from './transaction.ts'

export interface Message {
  readonly topic: string
  /** Text is sent as UTF-8. */
  readonly body: Uint8Array | string
  /** One tag, for filters of consumers. */
  readonly tags?: string | undefined
  /** Words to find the message by, later. */
  readonly keys?: string | readonly string[] | undefined
  /** Your own properties; RocketMQ's names are refused. */
  readonly properties?: Readonly<Record<string, string>> | undefined
  /** Messages of one key go to one queue, in order, while the topic's queues stay the same. */
  readonly orderKey?: string | undefined
  /** 1 (1 s) … 18 (2 h), as the broker's messageDelayLevel says. */
  readonly delayLevel?: number | undefined
  readonly delayMs?: number | undefined
  readonly deliverAt?: Date | number | undefined
  /** 32 bits of your own, stored verbatim. */
  readonly flag?: number | undefined
  /** false: the broker answers before the message is flushed or replicated, whatever its settings. Default true. */
  readonly waitStoreOk?: boolean | undefined
}

export type SendStatus = 'OK' | 'FLUSH_DISK_TIMEOUT' | 'FLUSH_SLAVE_TIMEOUT' | 'SLAVE_NOT_AVAILABLE'

export interface SendReceipt {
  /** All of these mean: stored. The others than OK: not yet as safe as the broker is set to make it. */
  readonly status: SendStatus
  /** Made by this client; consumers see the same one (UNIQ_KEY). */
  readonly messageId: string
  /** Names the place in the broker's log; what `viewById` takes. */
  readonly offsetMessageId: string
  readonly queue: MessageQueue
  readonly queueOffset: number
  readonly transactionId: string | undefined
  /** For delayed messages, with brokers that can take them back. */
  readonly recallHandle: string | undefined
  /** The message was sent this many times; more than 1 may mean a duplicate. */
  readonly attempts: number
}

export interface SendOptions {
  /** The whole call, retries included. Default: the producer's. */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
  /** This queue and no other. */
  readonly queue?: MessageQueue | undefined
  /** Picks the queue. */
  readonly selectQueue?: ((queues: readonly MessageQueue[], message: Message) => MessageQueue) | undefined
}

export type RecallOptions = Pick<SendOptions, 'timeoutMs' | 'signal'>

export interface TransactionOptions extends SendOptions {
  /** The broker does not ask how the transaction ended before this time; whole seconds. Default: as the broker is set (6 s). */
  readonly checkAfterMs?: number | undefined
}

export interface ProducerOptions {
  readonly group: string
  /**
   * Says how a transaction ended that the broker has not heard the end of: its producer, any of the group, may have died in the middle.
   * Look at what the transaction has left behind, in a database say. Needed for `sendInTransaction`.
   */
  readonly onCheck?: TransactionCheck
  /** The whole call, retries included. Default 3000. */
  readonly timeoutMs?: number
  /** One attempt of a call. Default: what is left of the whole. */
  readonly attemptTimeoutMs?: number
  /** Further attempts after the first, on another broker where there is one. Default 2. */
  readonly retries?: number
  /** Retry elsewhere also when a message is stored but not as safely as set (may store it twice). Default false. */
  readonly retryWhenNotStoredSafely?: boolean
  /** What bodies must be, by topic: validators of any library (standardschema.dev). Other topics are not looked at. */
  readonly schemas?: Readonly<Record<string, StandardSchema>>
  /** From the body to what the schema checks. Default: JSON. */
  readonly decode?: (message: Message) => unknown
  /** What becomes of a message that its schema refuses. Default `reject`. */
  readonly onInvalid?: OnInvalidSend
  readonly maxMessageBytes?: number
  /** Bodies of this size and above are compressed (zlib, level 5). Default 4096; 0 turns compression off. */
  readonly compressFromBytes?: number
  /** Size of one request of `sendAll`. Default 1 MiB. */
  readonly batchBytes?: number
  /** Writes RocketMQ's message trace: when each message was sent, how long it took, where it is. Default false. */
  readonly messageTrace?: MessageTraceOption
  /** Avoid brokers that answered slowly or failed lately. Default true. */
  readonly avoidSlowBrokers?: boolean
  readonly inFlight?: {
    /** Default 1024. */
    readonly messages?: number
    /** Default 64 MiB. */
    readonly bytes?: number
    /** Default 'wait'. */
    readonly whenFull?: 'wait' | 'fail'
  }
}

export interface Producer extends AsyncDisposable {
  readonly group: string
  /** Stores one message; resolves when the broker has it. Retries on other brokers within `timeoutMs`. */
  send(message: Message, options?: SendOptions): Promise<SendReceipt>
  /** Hands the message to a connection; nobody says whether it arrived. One attempt. */
  sendOneway(message: Message, options?: SendOptions): Promise<void>
  /**
   * Stores many messages in few requests; receipts in the order given. Not atomic: if some fail, the rest is sent all the same and a
   * SendAllError says which.
   */
  sendAll(messages: Iterable<Message>, options?: SendOptions): Promise<readonly SendReceipt[]>
  /**
   * Stores a message that nobody sees yet, runs `work`, and delivers the message if it returned 'commit'. After 'unknown', an error or a
   * crash the broker asks `onCheck`. An error of `work` is thrown on.
   */
  sendInTransaction(message: Message, work: TransactionWork, options?: TransactionOptions): Promise<TransactionReceipt>
  /** Sends a message and waits for the reply of whoever consumes it. */
  request(message: Message, options?: RequestOptions): Promise<ReceivedMessage>
  /** Answers a message that `request` sent. Rejects when the one who asked cannot be reached any more. */
  reply(request: ReceivedMessage, body: Uint8Array | string, options?: ReplyOptions): Promise<SendReceipt>
  /**
   * Takes a scheduled message back (one sent with `delayMs` or `deliverAt`): it is not delivered. Give the receipt, or topic and
   * `recallHandle` when another process sent it. Resolves with the message id; rejects when its time has come.
   */
  recall(receipt: SendReceipt, options?: RecallOptions): Promise<string>
  recall(topic: string, recallHandle: string, options?: RecallOptions): Promise<string>
  /** The writable queues of a topic, as messages would be spread. */
  queues(topic: string): Promise<readonly MessageQueue[]>
  /** Waits up to `drainMs` for messages under way, then gives up on them. Always resolves. */
  close(options?: CloseOptions): Promise<void>
}
