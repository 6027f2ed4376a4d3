import { encodeJson } from '@skylarkmq/remoting/protocol'
import type { RequestOf, ViewBrokerStatsData } from '@skylarkmq/remoting/protocol'
import type { Reply } from '@skylarkmq/remoting'
import type { Clock, Log } from '@skylarkmq/runtime'
import type { MessageStore } from '@skylarkmq/store'
import { SUCCESS, plain, refuse } from '../answers.ts'
import type { TopicConfigs } from '../topics/topic-configs.ts'
import type { Counters } from './counters.ts'

/** After a request to delete expired files the hour of the day counts for nothing for so long: the store looks every ten seconds. */
const HURRY_MS = 60_000

/** Whether expired files of the log may go at any hour. */
export class ExpiryHurry {
  readonly #clock: Clock
  #untilMs = -1

  constructor(clock: Clock) {
    this.#clock = clock
  }

  begin(): void {
    this.#untilMs = this.#clock.monotonic() + HURRY_MS
  }

  get isOn(): boolean {
    return this.#clock.monotonic() < this.#untilMs
  }
}

export interface MaintenanceDeps {
  readonly store: MessageStore
  readonly topics: TopicConfigs
  readonly counters: Counters
  readonly expiryHurry: ExpiryHurry
  readonly log: Log
}

/** Queue entries leave with the segment that they point into: there is nothing to be done, and that is a success. */
export const cleanExpiredQueues = () => (): Reply<never> => SUCCESS

export const deleteExpiredLog =
  ({ expiryHurry }: MaintenanceDeps) =>
  (): Reply<never> => {
    expiryHurry.begin()
    return SUCCESS
  }

/** Queues whose topic is gone; their messages stay in the log until it expires. */
export const cleanUnusedTopics =
  ({ store, topics, log }: MaintenanceDeps) =>
  (): Reply<never> => {
    const gone = [...store.queues().keys()].filter((topic) => topics.get(topic) === undefined)
    for (const topic of gone) {
      store.deleteTopic(topic)
      log.info('the queues of a topic that is gone were dropped', { topic })
    }
    return SUCCESS
  }

/** VIEW_BROKER_STATS_DATA. A counter that is not there is an error: tools take it for "no traffic". */
export const viewStats =
  ({ counters }: MaintenanceDeps) =>
  ({ statsName, statsKey }: RequestOf<typeof ViewBrokerStatsData>): Reply<never> => {
    const found = counters.view(statsName, statsKey)
    if (found === undefined)
      return refuse(
        'SYSTEM_ERROR',
        `The stats <${plain(statsName)}> <${plain(statsKey)}> not exist; nothing was counted of it since the broker started`,
      )
    const item = ({ sum, tps }: { readonly sum: number; readonly tps: number }) => ({ avgpt: 0, sum, tps })
    return { code: 0, body: encodeJson({ statsDay: item(found.day), statsHour: item(found.hour), statsMinute: item(found.minute) }) }
  }
