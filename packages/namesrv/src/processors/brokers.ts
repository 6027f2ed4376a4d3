import { crc32 } from 'node:zlib'
import { GetBrokerMemberGroup, QueryDataVersion, RegisterBroker, ResponseCode, UnregisterBroker } from '@skylarkmq/remoting/protocol'
import { BrokerHeartbeat, decodeDataVersion, decodeRegisterBroker, encodeJson, encodeKVTable } from '@skylarkmq/remoting/protocol'
import { route } from '@skylarkmq/remoting'
import type { Lane, Processor, Reply, Route } from '@skylarkmq/remoting'
import { ORDER_TOPIC_CONFIG } from '../kv-config.ts'
import { sameVersion } from '../route-table.ts'
import type { RegistrationResult } from '../route-table.ts'
import type { NamesrvState } from '../state.ts'

/** Ext field of RocketMQ 5.3 `ZoneRouteRPCHook`. */
const ZONE_NAME = '__ZONE_NAME'

/** What brokers ask of a NameServer. */
export function brokerRoutes(state: NamesrvState, lane: Lane): Route[] {
  const { routes, runtime } = state
  return [
    route(RegisterBroker, lane, registerBroker(state)),
    route(UnregisterBroker, lane, (request) => {
      routes.unregister(request)
      runtime.log.info('broker unregistered', { brokerName: request.brokerName, brokerAddr: request.brokerAddr })
      return { code: ResponseCode.SUCCESS }
    }),
    route(BrokerHeartbeat, lane, (request) => {
      routes.heartbeat(request.clusterName, request.brokerAddr, runtime.clock.monotonic())
      return { code: ResponseCode.SUCCESS }
    }),
    route(QueryDataVersion, lane, ({ clusterName, brokerAddr }, { body }) => {
      const held = routes.dataVersion(clusterName, brokerAddr)
      const changed = !sameVersion(held, decodeDataVersion(body))
      if (!changed) routes.heartbeat(clusterName, brokerAddr, runtime.clock.monotonic())
      return { code: ResponseCode.SUCCESS, header: { changed }, body: held === undefined ? undefined : encodeJson(held) }
    }),
    route(GetBrokerMemberGroup, lane, ({ clusterName, brokerName }) => {
      const brokerAddrs = routes.brokers().get(brokerName)?.brokerAddrs ?? {}
      return { code: ResponseCode.SUCCESS, body: encodeJson({ brokerMemberGroup: { brokerAddrs, brokerName, cluster: clusterName } }) }
    }),
  ]
}

function registerBroker(state: NamesrvState): Processor<typeof RegisterBroker> {
  const { routes, runtime } = state
  return (request, context) => {
    const crc = request.bodyCrc32 ?? 0
    if (crc !== 0 && crc !== (crc32(context.body) & 0x7fffffff)) {
      const found = crc32(context.body) & 0x7fffffff
      return failure(`crc32 not match: the header field bodyCrc32 is ${crc}, the body has ${found}; send the registration again`)
    }
    const body = decodeRegisterBroker(context.body)
    state.advertised.set(request.brokerAddr, request.skylarkAdvertised)
    const { topicConfigTable, dataVersion } = body.topicConfigSerializeWrapper
    const isKnown = routes.dataVersion(request.clusterName, request.brokerAddr) !== undefined
    const result = routes.register(
      {
        ...request,
        heartbeatTimeoutMs: positive(request.heartbeatTimeoutMillis),
        zoneName: context.frame.ext?.[ZONE_NAME],
        topics: topicConfigTable,
        dataVersion,
        filterServers: body.filterServerList,
      },
      context.connection,
      runtime.clock.monotonic(),
    )
    report(state, request, result, isKnown)
    if (result.status === 'incomplete') {
      return failure(`register broker failed: ${request.brokerName} must first register all of its topics, then single ones`)
    }
    const header = result.status === 'ok' ? { masterAddr: result.masterAddr, haServerAddr: result.haServerAddr } : {}
    return { code: ResponseCode.SUCCESS, header, body: orderSettings(state) }
  }
}

function orderSettings({ config, kv }: NamesrvState): Uint8Array | undefined {
  const table = config.returnOrderTopicConfigToBroker ? kv.namespace(ORDER_TOPIC_CONFIG) : undefined
  return table === undefined ? undefined : encodeKVTable({ table })
}

function report(
  { runtime }: NamesrvState,
  broker: { readonly brokerName: string; readonly brokerAddr: string; readonly brokerId: number; readonly clusterName: string },
  { status }: RegistrationResult,
  isKnown: boolean,
): void {
  const { brokerName, brokerAddr, brokerId, clusterName } = broker
  const fields = { clusterName, brokerName, brokerAddr, brokerId }
  if (status === 'ok' && !isKnown) runtime.log.info('broker registered', fields)
  if (status === 'outdated') runtime.log.warn('registration ignored: another address holds this broker id with a newer state', fields)
  if (status === 'incomplete') runtime.log.warn('registration refused: one topic only, and the broker is not known', fields)
}

const positive = (ms: number | undefined): number | undefined => (ms !== undefined && ms > 0 ? ms : undefined)

const failure = (remark: string): Reply => ({ code: ResponseCode.SYSTEM_ERROR, remark })
