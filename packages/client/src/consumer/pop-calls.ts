import {
  AckMessage,
  BatchAckMessage,
  ChangeMessageInvisibletime,
  encodeBatchAck,
  ResponseCode,
  RocketError,
} from '@skylarkmq/remoting/protocol'
import type { BatchAck } from '@skylarkmq/remoting/protocol'
import { expectSuccess } from '@skylarkmq/remoting'
import type { ClientCore } from '../core/types.ts'
import type { PoppedRecord } from './popped.ts'
import { Wakeup } from './wakeup.ts'

const TIMEOUT_MS = 3000
const ACKS_PER_REQUEST = 512
const ATTEMPTS = 3
const PAUSE_MS = 1000
/** Records of one pop that lie farther apart than this (a filter left much out) are named one by one: each is a bit of the request. */
const DISTANCE_MAX = 8192

interface WaitingAck {
  readonly record: PoppedRecord
  attempts: number
}

interface BrokerAcks {
  waiting: WaitingAck[]
  isBusy: boolean
  /** RocketMQ 5.0 takes them one by one. */
  isBatchUnknown: boolean
}

/** What a consumer tells brokers of records that it popped. */
export class PopCalls {
  readonly #core: ClientCore
  readonly #group: string
  readonly #brokers = new Map<string, BrokerAcks>()
  readonly #settled = new Wakeup()
  #pending = 0

  constructor(core: ClientCore, group: string) {
    this.#core = core
    this.#group = group
  }

  /** Acknowledgements are collected: one request is under way per broker, what comes meanwhile shares the next. */
  ack(record: PoppedRecord): void {
    let acks = this.#brokers.get(record.brokerName)
    if (!acks) this.#brokers.set(record.brokerName, (acks = { waiting: [], isBusy: false, isBatchUnknown: false }))
    acks.waiting.push({ record, attempts: 0 })
    this.#pending++
    this.#pump(record.brokerName, acks)
  }

  /** Resolves when no acknowledgement waits for its answer. */
  async settled(): Promise<void> {
    while (this.#pending > 0) await this.#settled.wait(this.#core.clock)
  }

  /** Invisible for so long from now on. False: the broker does not have it in flight by this handle any more. */
  change(record: PoppedRecord, ms: number): Promise<boolean> {
    const changing = record.changing.then(async () => {
      const { topic, queueId, extraInfo, offset } = record
      const header = { consumerGroup: this.#group, topic, queueId, extraInfo, offset, invisibleTime: ms }
      const answer = await this.#core.invoke(record.brokerName, ChangeMessageInvisibletime, header, { timeoutMs: TIMEOUT_MS })
      if (answer.code === ResponseCode.NO_MESSAGE) return false
      record.renew(expectSuccess(answer).header())
      return true
    })
    record.changing = changing.catch(() => undefined)
    return changing
  }

  #pump(brokerName: string, acks: BrokerAcks): void {
    if (acks.isBusy || acks.waiting.length === 0) return
    acks.isBusy = true
    this.#core.clock.afterTurn(() => void this.#drain(brokerName, acks))
  }

  async #drain(brokerName: string, acks: BrokerAcks): Promise<void> {
    while (acks.waiting.length > 0) {
      const some = acks.waiting.splice(0, ACKS_PER_REQUEST)
      // The handle must be the latest.
      await Promise.all(some.map(({ record }) => record.changing))
      const failed = await this.#send(brokerName, acks, some)
      this.#pending -= some.length - failed.length
      for (const ack of failed) this.#tryAgain(brokerName, acks, ack)
      this.#settled.wake()
    }
    acks.isBusy = false
  }

  #tryAgain(brokerName: string, acks: BrokerAcks, ack: WaitingAck): void {
    if (++ack.attempts < ATTEMPTS) {
      this.#core.clock.after(PAUSE_MS, () => {
        acks.waiting.push(ack)
        this.#pump(brokerName, acks)
      })
      return
    }
    this.#pending--
    const { topic, queueId, offset } = ack.record
    const fields = { topic, queueId, offset, brokerName, group: this.#group }
    this.#core.log.warn('a consumed message could not be acknowledged; it may be delivered again', fields)
  }

  /** Those that were not taken. */
  async #send(brokerName: string, acks: BrokerAcks, some: readonly WaitingAck[]): Promise<WaitingAck[]> {
    const isFar = ({ record }: WaitingAck) => !(distanceOf(record) >= 0 && distanceOf(record) < DISTANCE_MAX)
    const single = acks.isBatchUnknown || some.length === 1 ? [...some] : some.filter(isFar)
    const batch = some.filter((ack) => !single.includes(ack))
    const failed: WaitingAck[] = []
    if (batch.length > 0) {
      const outcome = await this.#sendBatch(brokerName, batch)
      if (outcome === 'unknown') {
        acks.isBatchUnknown = true
        single.push(...batch)
      } else if (outcome === 'failed') failed.push(...batch)
    }
    const outcomes = await Promise.all(single.map(async (ack) => ((await this.#sendOne(brokerName, ack.record)) ? [] : [ack])))
    return [...failed, ...outcomes.flat()]
  }

  async #sendBatch(brokerName: string, batch: readonly WaitingAck[]): Promise<'taken' | 'failed' | 'unknown'> {
    const body = encodeBatchAck({ brokerName, acks: batchesOf(this.#group, batch) })
    try {
      const answer = await this.#core.invoke(brokerName, BatchAckMessage, {}, { body, timeoutMs: TIMEOUT_MS })
      if (answer.code === ResponseCode.REQUEST_CODE_NOT_SUPPORTED) return 'unknown'
      expectSuccess(answer)
      return 'taken'
    } catch (error) {
      this.#core.log.debug('acknowledging failed', { brokerName, group: this.#group, error })
      return 'failed'
    }
  }

  async #sendOne(brokerName: string, record: PoppedRecord): Promise<boolean> {
    const { topic, queueId, extraInfo, offset } = record
    const header = { consumerGroup: this.#group, topic, queueId, extraInfo, offset }
    try {
      expectSuccess(await this.#core.invoke(brokerName, AckMessage, header, { timeoutMs: TIMEOUT_MS }))
      return true
    } catch (error) {
      this.#core.log.debug('acknowledging failed', { brokerName, group: this.#group, error })
      // A refusal is for good: the record was deleted by age, or its topic is gone.
      return error instanceof RocketError && error.brokerCode === ResponseCode.NO_MESSAGE
    }
  }
}

const distanceOf = ({ offset, handle }: PoppedRecord): number => offset - handle.startOffset

/** One entry for all records of one pop and queue. */
function batchesOf(consumerGroup: string, batch: readonly WaitingAck[]): BatchAck[] {
  const found = new Map<string, BatchAck & { readonly distances: number[] }>()
  for (const { record } of batch) {
    const { startOffset, popTime, invisibleTimeMs, reviveQueueId, retryFlag, queueId } = record.handle
    const key = `${record.originTopic}\n${queueId}\n${retryFlag}\n${startOffset}\n${popTime}\n${reviveQueueId}\n${invisibleTimeMs}`
    let ack = found.get(key)
    if (!ack) {
      const { originTopic: topic } = record
      ack = { consumerGroup, topic, retryFlag, startOffset, queueId, reviveQueueId, popTime, invisibleTimeMs, distances: [] }
      found.set(key, ack)
    }
    ack.distances.push(distanceOf(record))
  }
  return [...found.values()]
}
