import {
  DeleteKvConfig,
  GetKvConfig,
  GetKvlistByNamespace,
  GetNamesrvConfig,
  PutKvConfig,
  ResponseCode,
  UpdateNamesrvConfig,
  encodeKVTable,
} from '@skylarkmq/remoting/protocol'
import { parsePropertiesFile, updatePropertiesFile } from '@skylarkmq/runtime'
import { route } from '@skylarkmq/remoting'
import type { Lane, Reply, Route } from '@skylarkmq/remoting'
import { NAMESRV_CONFIG } from '../config.ts'
import { ORDER_TOPIC_CONFIG } from '../kv-config.ts'
import type { NamesrvState } from '../state.ts'

/** KV settings, and the NameServer's own. */
export function settingRoutes(state: NamesrvState, lane: Lane): Route[] {
  const { kv, cache } = state
  const touched = (namespace: string, topic: string): Reply => {
    if (namespace === ORDER_TOPIC_CONFIG) cache.delete(topic)
    return { code: ResponseCode.SUCCESS }
  }
  return [
    route(PutKvConfig, lane, ({ namespace, key, value }) => {
      kv.put(namespace, key, value)
      return touched(namespace, key)
    }),
    route(DeleteKvConfig, lane, ({ namespace, key }) => {
      kv.delete(namespace, key)
      return touched(namespace, key)
    }),
    route(GetKvConfig, lane, ({ namespace, key }) => {
      const value = kv.get(namespace, key)
      if (value !== undefined) return { code: ResponseCode.SUCCESS, header: { value } }
      return { code: ResponseCode.QUERY_NOT_FOUND, remark: `No config item, Namespace: ${namespace} Key: ${key}` }
    }),
    route(GetKvlistByNamespace, lane, ({ namespace }) => {
      const table = kv.namespace(namespace)
      if (table !== undefined) return { code: ResponseCode.SUCCESS, body: encodeKVTable({ table }) }
      return { code: ResponseCode.QUERY_NOT_FOUND, remark: `No config item, Namespace: ${namespace}` }
    }),
    route(GetNamesrvConfig, lane, () => ({
      code: ResponseCode.SUCCESS,
      body: Buffer.from(NAMESRV_CONFIG.effectiveText(state.config)),
    })),
    route(UpdateNamesrvConfig, lane, (_, { body }) => updateConfig(state, Buffer.from(body).toString('utf8'))),
  ]
}

/** All of the changes or none; stored before they act. RocketMQ 5.3 `DefaultRequestProcessor#updateConfig`. */
function updateConfig(state: NamesrvState, text: string): Reply {
  const { runtime, config, cache } = state
  const entries = parsePropertiesFile(text)
  if (entries.size === 0) return { code: ResponseCode.INVALID_PARAMETER, remark: 'the body holds no key=value line; nothing was changed' }
  const refused = new Set(config.configBlackList.split(';').map((name) => name.trim()))
  for (const name of entries.keys()) {
    const isFixed = Object.hasOwn(NAMESRV_CONFIG.fields, name) && NAMESRV_CONFIG.fields[name as keyof typeof config].fixed === true
    if (isFixed || refused.has(name) || name === 'rocketmqHome') {
      return {
        code: ResponseCode.NO_PERMISSION,
        remark: `Can not update config in black list. ${name} cannot be changed while the NameServer runs`,
      }
    }
  }
  const { config: next, problems, unknownKeys } = NAMESRV_CONFIG.parse(entries, { base: config })
  const wrong = problems[0] ?? unknownKeys[0]
  if (wrong !== undefined) return { code: ResponseCode.INVALID_PARAMETER, remark: `${wrong.message}; nothing was changed` }
  const stored = runtime.disk.readText(config.configStorePath) ?? ''
  runtime.disk.writeTextAtomically(config.configStorePath, updatePropertiesFile(stored, entries))
  state.config = next
  cache.clear()
  runtime.log.info('settings changed', Object.fromEntries(entries))
  return { code: ResponseCode.SUCCESS }
}
