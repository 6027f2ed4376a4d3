import { expectSuccess } from '@skylarkmq/remoting'
import { GetTimerMetrics, ListScheduledMessages } from '@skylarkmq/remoting/protocol'
import { withNamespace, withoutNamespace } from '../namespace.ts'
import type { AdminParts, BrokerTarget, Where } from './targets.ts'
import { atEach, brokersOfTopic, mastersAt } from './targets.ts'

/** A message that waits for its time (sent with `delayMs` or `deliverAt`). */
export interface ScheduledMessage {
  readonly topic: string
  readonly deliverAtMs: number
  readonly messageId: string | undefined
  /** What `messages.viewById` takes: the body can be looked at while it waits. */
  readonly offsetMessageId: string | undefined
  readonly keys: string | undefined
  readonly tags: string | undefined
  readonly storedAtMs: number | undefined
  readonly brokerName: string
}

interface Page {
  readonly messages: readonly Omit<ScheduledMessage, 'brokerName'>[]
  readonly next?: { readonly afterMs: number; readonly afterOrigin: number } | undefined
}

/** Messages listed by default. */
const LIST_MAX = 32
const PAGE_MAX = 1000

/** Messages that have a delivery time of their own and wait for it. */
export class ScheduledAdmin {
  readonly #parts: AdminParts

  constructor(parts: AdminParts) {
    this.#parts = parts
  }

  /** How many wait, by topic. Brokers of Apache say so too. */
  async counts(where: Where = {}): Promise<ReadonlyMap<string, number>> {
    const { core, timeoutMs } = this.#parts
    const counts = new Map<string, number>()
    const tables = await atEach('counting scheduled messages', await mastersAt(this.#parts, where), async ({ address }) => {
      const { body } = expectSuccess(await core.invoke(address, GetTimerMetrics, {}, { timeoutMs }))
      return (JSON.parse(Buffer.from(body).toString()) as { timingCount: Record<string, { count: number }> }).timingCount
    })
    for (const table of tables) {
      for (const [name, { count }] of Object.entries(table)) {
        const topic = withoutNamespace(core.namespace, name)
        if (count > 0) counts.set(topic, (counts.get(topic) ?? 0) + count)
      }
    }
    return counts
  }

  /** The next `max` of a topic, in order of time. Only SkylarkMQ's brokers can say. */
  async list(topic: string, { max = LIST_MAX }: { readonly max?: number | undefined } = {}): Promise<readonly ScheduledMessage[]> {
    const targets = await brokersOfTopic(this.#parts, withNamespace(this.#parts.core.namespace, topic))
    const lists = await atEach('listing scheduled messages', targets, (target) => this.#listAt(target, topic, max))
    return lists
      .flat()
      .sort((a, b) => a.deliverAtMs - b.deliverAtMs)
      .slice(0, max)
  }

  async #listAt({ address, brokerName }: BrokerTarget, topic: string, max: number): Promise<ScheduledMessage[]> {
    const { core, timeoutMs } = this.#parts
    const found: ScheduledMessage[] = []
    for (let next: Page['next'] | undefined = { afterMs: 0, afterOrigin: -1 }; next !== undefined && found.length < max; ) {
      const header = { topic: withNamespace(core.namespace, topic), max: Math.min(PAGE_MAX, max - found.length), ...next }
      const answer = expectSuccess(await core.invoke(address, ListScheduledMessages, header, { timeoutMs }))
      const page = JSON.parse(Buffer.from(answer.body).toString()) as Page
      found.push(...page.messages.map((message) => ({ ...message, topic, brokerName })))
      next = page.next
    }
    return found
  }
}
