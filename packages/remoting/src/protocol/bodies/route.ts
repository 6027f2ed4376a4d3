import { asObject, asText, booleanOf, encodeJson, listOf, numberOf, optionalText, parseBody, tableOf, textOf, wrong } from './read.ts'
import type { BrokerData, ClusterInfo, KVTable, QueueData, TopicList, TopicRouteData } from './types.ts'

const BROKER_ID = /^\d{1,19}$/

/** `{0:"…"}`: fastjson's unquoted integer keys, or strict JSON. No white space: Go takes the text apart by commas and colons. */
const brokerAddrs = (addresses: BrokerData['brokerAddrs'], quotedKeys: boolean): unknown =>
  quotedKeys ? addresses : new Map(Object.entries(addresses).map(([id, address]) => [BigInt(id), address]))

const brokerData = (broker: BrokerData, quotedKeys: boolean): unknown => ({
  brokerAddrs: brokerAddrs(broker.brokerAddrs, quotedKeys),
  brokerName: broker.brokerName,
  cluster: broker.cluster,
  enableActingMaster: broker.enableActingMaster,
  zoneName: broker.zoneName,
})

const readBrokerData = (value: unknown, what: string): BrokerData => {
  const from = asObject(value, what)
  return {
    cluster: textOf(from, 'cluster', ''),
    brokerName: textOf(from, 'brokerName'),
    brokerAddrs: tableOf(from, 'brokerAddrs', (address, at, id) => {
      if (!BROKER_ID.test(id)) throw wrong(`${at}: the broker id ${JSON.stringify(id)} must be a whole number`)
      return asText(address, at)
    }),
    zoneName: optionalText(from, 'zoneName'),
    enableActingMaster: booleanOf(from, 'enableActingMaster', false),
  }
}

const readQueueData = (value: unknown, what: string): QueueData => {
  const from = asObject(value, what)
  return {
    brokerName: textOf(from, 'brokerName'),
    readQueueNums: numberOf(from, 'readQueueNums', 0),
    writeQueueNums: numberOf(from, 'writeQueueNums', 0),
    perm: numberOf(from, 'perm', 0),
    // RocketMQ up to 4.8 wrote `topicSynFlag`.
    topicSysFlag: numberOf(from, from['topicSysFlag'] === undefined ? 'topicSynFlag' : 'topicSysFlag', 0),
  }
}

/** `quotedKeys` for requests of version 401 and later and for `acceptStandardJsonOnly`; older Go clients need them unquoted. */
export const encodeTopicRoute = (route: TopicRouteData, quotedKeys: boolean): Buffer =>
  encodeJson({
    brokerDatas: route.brokerDatas.map((b) => brokerData(b, quotedKeys)),
    filterServerTable: route.filterServerTable,
    orderTopicConf: route.orderTopicConf,
    queueDatas: route.queueDatas.map((q) => ({
      brokerName: q.brokerName,
      perm: q.perm,
      readQueueNums: q.readQueueNums,
      topicSysFlag: q.topicSysFlag,
      writeQueueNums: q.writeQueueNums,
    })),
  })

export function decodeTopicRoute(body: Uint8Array): TopicRouteData {
  const from = parseBody(body, 'TopicRouteData')
  return {
    orderTopicConf: optionalText(from, 'orderTopicConf'),
    queueDatas: listOf(from, 'queueDatas', readQueueData),
    brokerDatas: listOf(from, 'brokerDatas', readBrokerData),
    filterServerTable: tableOf(from, 'filterServerTable', (servers, what) => listOf({ [what]: servers }, what, asText)),
  }
}

export const encodeClusterInfo = (info: ClusterInfo): Buffer =>
  encodeJson({
    brokerAddrTable: new Map(Object.entries(info.brokerAddrTable).map(([name, b]) => [name, brokerData(b, true)])),
    clusterAddrTable: info.clusterAddrTable,
  })

export function decodeClusterInfo(body: Uint8Array): ClusterInfo {
  const from = parseBody(body, 'ClusterInfo')
  return {
    brokerAddrTable: tableOf(from, 'brokerAddrTable', readBrokerData),
    clusterAddrTable: tableOf(from, 'clusterAddrTable', (names, what) => listOf({ [what]: names }, what, asText)),
  }
}

export const encodeTopicList = (list: TopicList): Buffer => encodeJson({ brokerAddr: list.brokerAddr, topicList: list.topicList })

export function decodeTopicList(body: Uint8Array): TopicList {
  const from = parseBody(body, 'TopicList')
  return { topicList: listOf(from, 'topicList', asText), brokerAddr: optionalText(from, 'brokerAddr') }
}

export const encodeKVTable = (kv: KVTable): Buffer => encodeJson({ table: kv.table })

export const decodeKVTable = (body: Uint8Array): KVTable => ({ table: tableOf(parseBody(body, 'KVTable'), 'table', asText) })
