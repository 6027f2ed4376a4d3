import {
  AddWritePermOfBroker,
  DeleteTopicInNamesrv,
  GetAllTopicListFromNameserver,
  GetBrokerClusterInfo,
  GetHasUnitSubTopicList,
  GetHasUnitSubUnunitTopicList,
  GetSystemTopicListFromNs,
  GetRouteReaders,
  GetTopicsByCluster,
  GetUnitTopicList,
  RegisterTopicInNamesrv,
  ResponseCode,
  WipeWritePermOfBroker,
  decodeTopicRoute,
  encodeClusterInfo,
  encodeJson,
  encodeTopicList,
} from '@skylarkmq/remoting/protocol'
import { route } from '@skylarkmq/remoting'
import type { Lane, Reply, Route } from '@skylarkmq/remoting'
import type { RouteReader } from '../route-readers.ts'
import type { NamesrvState } from '../state.ts'

// RocketMQ 5.3 `TopicSysFlag`.
const UNIT = 1
const UNIT_SUB = 2

/** Cluster and topic lists, and the changes that an administrator makes to the table. */
export function administrationRoutes(state: NamesrvState, lane: Lane): Route[] {
  const { routes } = state
  const bySysFlag = (condition: (sysFlag: number) => boolean): Reply =>
    topicList(state.config.enableTopicList, () => routes.topicsBySysFlag(condition))
  return [
    route(GetBrokerClusterInfo, lane, (_, { connection }) => ({
      code: ResponseCode.SUCCESS,
      body: encodeClusterInfo(clusterInfo(state, connection.remoteHost)),
    })),
    route(GetRouteReaders, lane, ({ brokerName, minAgeMs }) => ({
      code: ResponseCode.SUCCESS,
      body: encodeJson({ readers: routeReaders(state, brokerName, minAgeMs ?? 0) }),
    })),
    route(GetAllTopicListFromNameserver, lane, () => topicList(state.config.enableAllTopicList, () => routes.topicNames())),
    route(GetTopicsByCluster, lane, ({ cluster }) => topicList(state.config.enableTopicList, () => routes.topicsOfCluster(cluster))),
    route(GetSystemTopicListFromNs, lane, () => systemTopics(state)),
    route(GetUnitTopicList, lane, () => bySysFlag((flag) => (flag & UNIT) !== 0)),
    route(GetHasUnitSubTopicList, lane, () => bySysFlag((flag) => (flag & UNIT_SUB) !== 0)),
    route(GetHasUnitSubUnunitTopicList, lane, () => bySysFlag((flag) => (flag & UNIT) === 0 && (flag & UNIT_SUB) !== 0)),
    route(WipeWritePermOfBroker, lane, ({ brokerName }) => ({
      code: ResponseCode.SUCCESS,
      header: { wipeTopicCount: routes.setWritePermission(brokerName, false) },
    })),
    route(AddWritePermOfBroker, lane, ({ brokerName }) => ({
      code: ResponseCode.SUCCESS,
      header: { addTopicCount: routes.setWritePermission(brokerName, true) },
    })),
    route(DeleteTopicInNamesrv, lane, ({ topic, clusterName }) => {
      routes.deleteTopic(topic, clusterName || undefined)
      return { code: ResponseCode.SUCCESS }
    }),
    route(RegisterTopicInNamesrv, lane, ({ topic }, { body }) => registerTopic(state, topic, body)),
  ]
}

function routeReaders(
  { routes, readers, advertised, runtime }: NamesrvState,
  brokerName: string,
  minAgeMs: number,
): readonly RouteReader[] {
  const master = routes.brokers().get(brokerName)?.brokerAddrs[0]
  if (master === undefined) return []
  // Brokers ask for routes, too, and have no reason to connect.
  const brokers = new Set([...routes.liveBrokers()].map(({ channel }) => channel.address))
  const isHere = new Map<string, boolean>()
  const told = (topic: string, host: string): string | undefined => {
    let here = isHere.get(topic)
    if (here === undefined)
      isHere.set(topic, (here = routes.route(topic)?.queueDatas.some((queue) => queue.brokerName === brokerName) ?? false))
    return here ? advertised.addressFor(master, host) : undefined
  }
  return readers.readers(runtime.clock.monotonic(), minAgeMs, told).filter(({ address }) => !brokers.has(address))
}

function clusterInfo({ routes, advertised }: NamesrvState, host: string) {
  return {
    brokerAddrTable: Object.fromEntries([...routes.brokers()].map(([name, broker]) => [name, advertised.seenFrom(host, broker)])),
    clusterAddrTable: Object.fromEntries([...routes.clusters()].map(([name, brokers]) => [name, [...brokers]])),
  }
}

function topicList(isEnabled: boolean, names: () => string[]): Reply {
  if (!isEnabled)
    return { code: ResponseCode.SYSTEM_ERROR, remark: 'disable: topic lists are switched off (enableTopicList, enableAllTopicList)' }
  return { code: ResponseCode.SUCCESS, body: encodeTopicList({ topicList: names() }) }
}

/** Clusters and brokers own a topic of their name; one broker's address tells the tool whom to ask for the rest. */
function systemTopics({ routes }: NamesrvState): Reply {
  const names = new Set<string>()
  for (const [cluster, brokers] of routes.clusters()) {
    names.add(cluster)
    for (const broker of brokers) names.add(broker)
  }
  const [firstBroker] = routes.brokers().values()
  const brokerAddr = firstBroker === undefined ? undefined : Object.values(firstBroker.brokerAddrs)[0]
  return { code: ResponseCode.SUCCESS, body: encodeTopicList({ topicList: [...names], brokerAddr }) }
}

function registerTopic({ routes }: NamesrvState, topic: string | undefined, body: Uint8Array): Reply {
  if (topic === undefined || topic === '')
    return { code: ResponseCode.INVALID_PARAMETER, remark: 'the header field topic is missing; it is required' }
  if (body.length === 0) return { code: ResponseCode.SUCCESS }
  const unknown = routes.registerTopic(topic, decodeTopicRoute(body).queueDatas)
  if (unknown === undefined) return { code: ResponseCode.SUCCESS }
  return { code: ResponseCode.SUCCESS, remark: `the broker ${unknown} is not registered here: its queues of ${topic} were not added` }
}
