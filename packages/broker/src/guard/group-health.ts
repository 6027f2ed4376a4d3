import { encodeJson } from '@skylarkmq/remoting/protocol'
import type { GetGroupHealth, RequestOf } from '@skylarkmq/remoting/protocol'
import type { Reply } from '@skylarkmq/remoting'
import type { Clock } from '@skylarkmq/runtime'
import type { ConsumerGroups } from '../groups/consumer-groups.ts'
import type { OpenFinding, Findings } from './findings.ts'

export interface HealthDeps {
  readonly consumers: ConsumerGroups
  readonly findings: Findings
  readonly clock: Clock
  readonly brokerName: string
}

export interface HealthMember {
  readonly clientId: string
  readonly address: string
  readonly language: string
  readonly version: number
  /** Since its last heartbeat. */
  readonly silentMs: number
  readonly subscriptions: Readonly<Record<string, string>>
}

/** The body of GET_GROUP_HEALTH. */
export interface GroupHealth {
  readonly brokerName: string
  readonly group: string | undefined
  readonly members: readonly HealthMember[]
  readonly findings: readonly OpenFinding[]
}

export function getGroupHealth({ consumers, findings, clock, brokerName }: HealthDeps) {
  return ({ group }: RequestOf<typeof GetGroupHealth>): Reply<never> => {
    const now = clock.monotonic()
    const members = group ? [...(consumers.get(group)?.members.values() ?? [])] : []
    const health: GroupHealth = {
      brokerName,
      group: group || undefined,
      members: members.map(({ clientId, connection, seenAt, expressions }) => ({
        clientId,
        address: connection.address,
        language: connection.language,
        version: connection.version,
        silentMs: Math.round(now - seenAt),
        subscriptions: Object.fromEntries(expressions),
      })),
      findings: findings.list(group),
    }
    return { code: 0, body: encodeJson(health) }
  }
}
