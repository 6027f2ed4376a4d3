import type { ConsumerData } from '@skylarkmq/remoting/protocol'
import type { ServerConnection } from '@skylarkmq/remoting'
import { plain, refuse } from '../answers.ts'
import type { Refusal } from '../answers.ts'
import type { Settings } from '../config.ts'
import type { ConsumerGroup, ConsumerGroups, ConsumerMember } from '../groups/consumer-groups.ts'
import { differences, expressionsOf, sameExpressions } from '../groups/expressions.ts'
import type { Findings } from './findings.ts'

export interface SubscriptionGuardDeps {
  readonly consumers: ConsumerGroups
  readonly findings: Findings
  readonly settings: Settings
}

const ADVICE =
  'each heartbeat replaces what the group subscribes to, so messages are filtered away; give all members the same subscriptions, or a group each'

/**
 * All members of a group share one subscription: the last heartbeat's. When they differ, messages go missing without an error anywhere
 * (apache/rocketmq#92). Here it is noticed when the heartbeat comes; the setting subscriptionConflict says what happens then.
 */
export class SubscriptionGuard {
  readonly #deps: SubscriptionGuardDeps

  constructor(deps: SubscriptionGuardDeps) {
    this.#deps = deps
    deps.consumers.onChange((name, group) => this.#look(name, group))
  }

  /** Under `reject`: why this member may not join as it is. */
  refusal(connection: ServerConnection, clientId: string, data: ConsumerData): Refusal | undefined {
    if (this.#deps.settings.current.subscriptionConflict !== 'reject') return undefined
    const own = expressionsOf(data.subscriptionDataSet)
    for (const member of this.#deps.consumers.get(data.groupName)?.members.values() ?? []) {
      if (member.connection === connection || member.clientId === clientId || sameExpressions(own, member.expressions)) continue
      const difference = differences(own, member.expressions)
      return refuse(
        'SUBSCRIPTION_NOT_LATEST',
        `the consumer's subscription not latest: ${plain(clientId)} subscribes differently in group ${plain(data.groupName)} than ` +
          `${named(member)} (${difference}); ${ADVICE}. The broker refuses it because subscriptionConflict=reject`,
      )
    }
    return undefined
  }

  #look(name: string, group: ConsumerGroup | undefined): void {
    const { findings, settings } = this.#deps
    const key = `subscriptions/${name}`
    // A client that has come back over another connection may have left its old self behind: its latest word counts.
    const members = [...new Map([...(group?.members.values() ?? [])].map((member) => [member.clientId, member])).values()]
    const [first] = members
    const other = first && members.find((member) => !sameExpressions(first.expressions, member.expressions))
    if (first === undefined || other === undefined || settings.current.subscriptionConflict === 'ignore') {
      findings.clear(key)
      return
    }
    findings.raise(key, {
      kind: 'subscriptions-differ',
      group: name,
      clientId: other.clientId,
      address: other.connection.address,
      sentence:
        `the members of group ${plain(name)} subscribe differently: ${named(first)} against ${named(other)}: ` +
        `${differences(first.expressions, other.expressions)}; ${ADVICE}`,
    })
  }
}

const named = ({ clientId, connection }: ConsumerMember): string => `${plain(clientId)} at ${connection.address}`
