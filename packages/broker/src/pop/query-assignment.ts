import { decodeQueryAssignment, decodeRequestMode, encodeAssignments, isRetryTopic } from '@skylarkmq/remoting/protocol'
import type { MessageQueue, QueryAssignmentBody, RequestModeBody } from '@skylarkmq/remoting/protocol'
import type { Reply, RequestContext } from '@skylarkmq/remoting'
import type { MetadataStore } from '@skylarkmq/store'
import { SUCCESS, groupMissing, plain, refuse } from '../answers.ts'
import type { Settings } from '../config.ts'
import type { ConsumerGroups } from '../groups/consumer-groups.ts'
import type { GroupConfigs } from '../groups/group-configs.ts'
import type { TopicConfigs } from '../topics/topic-configs.ts'
import type { TopicRoutes } from './topic-routes.ts'

export interface AssignmentDeps {
  readonly consumers: ConsumerGroups
  readonly topics: TopicConfigs
  readonly groupConfigs: GroupConfigs
  readonly metadata: MetadataStore
  readonly settings: Settings
  readonly topicRoutes: TopicRoutes
}

const ROW_PREFIX = 'messageRequestMode:'
const rowOf = (topic: string, group: string): string => `${ROW_PREFIX}${topic}@${group}`

/** All that were set. */
export const requestModes = (metadata: MetadataStore): RequestModeBody[] =>
  [...metadata.entries('kv')].filter(([key]) => key.startsWith(ROW_PREFIX)).map(([, text]) => JSON.parse(text) as RequestModeBody)

/** SET_MESSAGE_REQUEST_MODE (RocketMQ 5.3 `QueryAssignmentProcessor#setMessageRequestMode`). */
export function setMessageRequestMode({ topics, groupConfigs, metadata }: AssignmentDeps) {
  return (_header: unknown, context: RequestContext): Reply<never> => {
    const mode = decodeRequestMode(context.body)
    if (isRetryTopic(mode.topic))
      return refuse('NO_PERMISSION', `retry topic is not allowed to set mode: ${plain(mode.topic)} is always pulled`)
    if (topics.get(mode.topic) === undefined)
      return refuse('TOPIC_NOT_EXIST', `topic[${plain(mode.topic)}] not exist; create it with: mqadmin updateTopic -t NAME -c CLUSTER`)
    if (groupConfigs.findOrCreate(mode.consumerGroup) === undefined) return groupMissing(mode.consumerGroup)
    metadata.set('kv', rowOf(mode.topic, mode.consumerGroup), JSON.stringify(mode))
    return SUCCESS
  }
}

/** QUERY_ASSIGNMENT: the broker shares queues out among the members of a group, where clients do not do it themselves. */
export function queryAssignment(deps: AssignmentDeps) {
  return async (_header: unknown, context: RequestContext): Promise<Reply<never>> => {
    const asked = decodeQueryAssignment(context.body)
    const { mode, popShareQueueNum } = modeOf(deps, asked)
    const queues = await deps.topicRoutes.queuesOf(asked.topic)
    const mine = queues === undefined ? undefined : share(deps, asked, queues, mode === 'POP' ? popShareQueueNum : undefined)
    return { code: 0, body: encodeAssignments(mine?.map((messageQueue) => ({ messageQueue, mode }))) }
  }
}

function modeOf({ metadata, settings }: AssignmentDeps, { topic, consumerGroup }: QueryAssignmentBody): RequestModeBody {
  const row = metadata.get('kv', rowOf(topic, consumerGroup))
  if (row !== undefined) return JSON.parse(row) as RequestModeBody
  const { defaultMessageRequestMode, defaultPopShareQueueNum } = settings.current
  const mode = isRetryTopic(topic) ? 'PULL' : defaultMessageRequestMode
  return { topic, consumerGroup, mode, popShareQueueNum: defaultPopShareQueueNum }
}

/** Undefined: nothing can be said, the client keeps what it has. `popShare` for pops only. */
function share(
  { consumers, settings }: AssignmentDeps,
  { consumerGroup, clientId, messageModel, strategyName }: QueryAssignmentBody,
  queues: readonly MessageQueue[],
  popShare: number | undefined,
): readonly MessageQueue[] | undefined {
  if (messageModel === 'BROADCASTING' || !settings.current.serverLoadBalancerEnable) return queues
  const clients = consumers.clientIds(consumerGroup).sort()
  const allocate = STRATEGIES[strategyName]
  if (clients.length === 0 || allocate === undefined) return undefined
  return popShare === undefined
    ? allocate(queues, clients, clients.indexOf(clientId))
    : shareForPop(queues, clients, clientId, popShare, allocate)
}

/** RocketMQ 5.3 `QueryAssignmentProcessor#allocate4Pop`. Queue -1 is all of a broker. */
function shareForPop(
  queues: readonly MessageQueue[],
  clients: readonly string[],
  clientId: string,
  shared: number,
  allocate: Strategy,
): readonly MessageQueue[] {
  const me = clients.indexOf(clientId)
  if (shared <= 0 || shared >= clients.length - 1) {
    const brokers = new Map(queues.map((queue) => [queue.brokerName, { ...queue, queueId: -1 }]))
    return [...brokers.values()]
  }
  if (me < 0) return []
  if (clients.length > queues.length) return [queues[me % queues.length] as MessageQueue]
  // A client's own queues, and those of as many that come after it.
  const mine = Array.from({ length: shared + 1 }, (_, i) => allocate(queues, clients, (me + i) % clients.length)).flat()
  return [...new Set(mine)]
}

type Strategy = (queues: readonly MessageQueue[], clients: readonly string[], me: number) => readonly MessageQueue[]

const STRATEGIES: Readonly<Record<string, Strategy>> = {
  /** Neighbouring queues: the first clients get one more. */
  AVG: (queues, clients, me) => {
    if (me < 0) return []
    const more = queues.length % clients.length
    const each = Math.floor(queues.length / clients.length)
    const start = me * each + Math.min(me, more)
    return queues.slice(start, start + each + (me < more ? 1 : 0))
  },
  /** Every n-th queue. */
  AVG_BY_CIRCLE: (queues, clients, me) => (me < 0 ? [] : queues.filter((_, i) => i % clients.length === me)),
}
