import { GetRouteinfoByTopic, ResponseCode, encodeTopicRoute } from '@skylarkmq/remoting/protocol'
import type { ExtFields, TopicRouteData } from '@skylarkmq/remoting/protocol'
import type { Processor, Reply, RequestContext } from '@skylarkmq/remoting'
import { ORDER_TOPIC_CONFIG } from '../kv-config.ts'
import type { NamesrvState } from '../state.ts'

/** RocketMQ 4.9.4: clients from here on read quoted keys; older ones (Go, C++, JavaScript among them) get fastjson's `{0:"…"}`. */
const QUOTED_KEYS_VERSION = 401
const ZONE_MODE = '__ZONE_MODE'
const ZONE_NAME = '__ZONE_NAME'

/** GET_ROUTEINFO_BY_TOPIC: RocketMQ 5.3 `ClientRequestProcessor`. */
export function topicRoute(state: NamesrvState): Processor<typeof GetRouteinfoByTopic> {
  return ({ topic, acceptStandardJsonOnly }, { frame, connection }: RequestContext) => {
    const waitMs = state.config.needWaitForService ? state.config.waitSecondsForService * 1000 : 0
    if (waitMs > 0 && state.runtime.clock.monotonic() - state.startedMs < waitMs) {
      const sentence = `brokers have ${waitMs / 1000} s from its start to register (needWaitForService); ask again later`
      return { code: ResponseCode.SYSTEM_ERROR, remark: `name server not ready: ${sentence}` }
    }
    const zone = zoneOf(frame.ext)
    const answer = (): Reply | undefined => {
      const host = connection.remoteHost
      const body =
        zone === undefined ? plainRoute(state, topic, frame.version, acceptStandardJsonOnly, host) : zoneRoute(state, topic, zone, host)
      if (body !== undefined) state.readers.note(connection, topic, state.runtime.clock.monotonic())
      return body === undefined ? undefined : { code: ResponseCode.SUCCESS, body }
    }
    const notFound: Reply = { code: ResponseCode.TOPIC_NOT_EXIST, remark: noRoute(topic) }
    const found = answer()
    if (found !== undefined || !state.config.createTopicOnRouteQuery) return found ?? notFound
    return state.creator.create(topic, state.routes.brokers().values(), () => isOnAllMasters(state, topic)).then(() => answer() ?? notFound)
  }
}

function isOnAllMasters({ routes }: NamesrvState, topic: string): boolean {
  const names = new Set(routes.route(topic)?.queueDatas.map(({ brokerName }) => brokerName))
  return [...routes.brokers().values()].every(({ brokerAddrs, brokerName }) => brokerAddrs[0] === undefined || names.has(brokerName))
}

/** As the client's network is to see it, or as everybody. */
function plainRoute(state: NamesrvState, topic: string, version: number, standardOnly: boolean | undefined, host: string) {
  const found = state.advertised.isEmpty ? undefined : completeRoute(state, topic)
  const own = found && seenFrom(state, found, host)
  if (own === found || own === undefined) return cachedRoute(state, topic, version, standardOnly)
  return encodeTopicRoute(own, version >= QUOTED_KEYS_VERSION || standardOnly === true)
}

function seenFrom({ advertised }: NamesrvState, route: TopicRouteData, host: string): TopicRouteData {
  const brokerDatas = route.brokerDatas.map((broker) => advertised.seenFrom(host, broker))
  return brokerDatas.every((broker, i) => broker === route.brokerDatas[i]) ? route : { ...route, brokerDatas }
}

function cachedRoute(state: NamesrvState, topic: string, version: number, standardOnly: boolean | undefined): Buffer | undefined {
  const form = version >= QUOTED_KEYS_VERSION || standardOnly === true ? 'quoted' : 'compact'
  const cached = state.cache.get(topic, form)
  if (cached !== undefined) return cached
  const found = completeRoute(state, topic)
  if (found === undefined) return undefined
  const bytes = encodeTopicRoute(found, form === 'quoted')
  state.cache.set(topic, form, bytes)
  return bytes
}

function completeRoute({ routes, kv, config }: NamesrvState, topic: string): TopicRouteData | undefined {
  const found = routes.route(topic)
  const orderTopicConf = config.orderMessageEnable ? kv.get(ORDER_TOPIC_CONFIG, topic) : undefined
  return found === undefined || orderTopicConf === undefined ? found : { ...found, orderTopicConf }
}

function zoneOf(ext: ExtFields | undefined): string | undefined {
  if (ext?.[ZONE_MODE]?.toLowerCase() !== 'true') return undefined
  return ext[ZONE_NAME]?.trim() ? ext[ZONE_NAME] : undefined
}

/** Brokers of the client's zone, and those without a master; always with unquoted keys (RocketMQ 5.3 `ZoneRouteRPCHook`). */
function zoneRoute(state: NamesrvState, topic: string, zone: string, host: string): Buffer | undefined {
  const found = completeRoute(state, topic)
  if (found === undefined) return undefined
  const whole = seenFrom(state, found, host)
  const brokerDatas = whole.brokerDatas.filter(
    ({ zoneName, brokerAddrs }) => zoneName?.toLowerCase() === zone.toLowerCase() || brokerAddrs[0] === undefined,
  )
  const names = new Set(brokerDatas.map(({ brokerName }) => brokerName))
  const addresses = new Set(brokerDatas.flatMap(({ brokerAddrs }) => Object.values(brokerAddrs)))
  const kept: TopicRouteData = {
    ...whole,
    brokerDatas,
    queueDatas: whole.queueDatas.filter(({ brokerName }) => names.has(brokerName)),
    filterServerTable: Object.fromEntries(Object.entries(whole.filterServerTable).filter(([address]) => addresses.has(address))),
  }
  return encodeTopicRoute(kept, false)
}

const noRoute = (topic: string): string =>
  `No topic route info in name server for the topic: ${topic.length > 128 ? `${topic.slice(0, 128)}…` : topic}. ` +
  'Create the topic (mqadmin updateTopic), or check that its broker runs and has this NameServer in namesrvAddr.'
