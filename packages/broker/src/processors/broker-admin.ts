import { encodeJson } from '@skylarkmq/remoting/protocol'
import type { GetBrokerConfig, ResponseOf } from '@skylarkmq/remoting/protocol'
import type { Reply, RequestContext } from '@skylarkmq/remoting'
import { parsePropertiesFile } from '@skylarkmq/runtime'
import type { Log } from '@skylarkmq/runtime'
import { SUCCESS, plain, refuse } from '../answers.ts'
import { BROKER_CONFIG } from '../config.ts'
import type { Settings } from '../config.ts'
import type { ScheduleService } from '../delay/schedule-service.ts'
import type { ConsumerOffsets } from '../offsets/consumer-offsets.ts'
import type { TopicConfigs } from '../topics/topic-configs.ts'

export interface BrokerAdminDeps {
  readonly settings: Settings
  readonly topics: TopicConfigs
  readonly offsets: ConsumerOffsets
  readonly schedule: ScheduleService
  readonly log: Log
  /** Keeps changed settings over a restart; undefined where there is no file to keep them in. */
  readonly saveSettings: ((changes: ReadonlyMap<string, string>) => void) | undefined
}

export function getBrokerConfig({ settings, topics }: BrokerAdminDeps) {
  return (): Reply<ResponseOf<typeof GetBrokerConfig>> => ({
    code: 0,
    header: { version: encodeJson(topics.version).toString() },
    body: Buffer.from(BROKER_CONFIG.effectiveText(settings.current)),
  })
}

/** Never over the wire, whether this broker knows them or not: places of files, and who may change what (RocketMQ 5.3 `validateBlackListConfigExist`). */
const FORBIDDEN: ReadonlySet<string> = new Set(['brokerConfigPath', 'rocketmqHome', 'configBlackList'])

/** Changes settings that are looked at anew each time: all of them or, when one is wrong, none; kept in the file before they act. */
export function updateBrokerConfig({ settings, topics, log, saveSettings }: BrokerAdminDeps) {
  return (_header: unknown, context: RequestContext): Reply<never> => {
    const entries = parsePropertiesFile(textOf(context.body))
    if (entries.size === 0) return refuse('INVALID_PARAMETER', 'the request body is empty; it must hold lines of the form key=value')
    for (const name of entries.keys()) {
      const field = (BROKER_CONFIG.fields as Readonly<Record<string, { readonly fixed?: boolean }>>)[name]
      if (!FORBIDDEN.has(name) && field?.fixed !== true) continue
      const why = FORBIDDEN.has(name) ? 'is never changed from outside' : 'takes effect at a start'
      return refuse('NO_PERMISSION', `Can not update config in black list. ${plain(name)} ${why}; change the file of -c and restart`)
    }
    const { config, problems, unknownKeys } = BROKER_CONFIG.parse(entries, { base: settings.current })
    const wrong = [...problems, ...unknownKeys][0]
    if (wrong !== undefined) return refuse('INVALID_PARAMETER', wrong.message)
    const isOtherPermission = config.brokerPermission !== settings.current.brokerPermission
    saveSettings?.(entries)
    settings.current = config
    log.info('settings changed', Object.fromEntries(entries))
    if (isOtherPermission) topics.touch()
    return SUCCESS
  }
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()

export function getAllConsumerOffsets({ offsets, topics }: BrokerAdminDeps) {
  return (): Reply<never> => {
    const offsetTable = Object.fromEntries([...offsets.entries()].map(([key, queues]) => [key, Object.fromEntries(queues)]))
    return { code: 0, body: encodeJson({ dataVersion: topics.version, offsetTable }) }
  }
}

export function getAllDelayOffsets({ schedule, topics }: BrokerAdminDeps) {
  return (): Reply<never> => {
    const offsetTable = Object.fromEntries(schedule.progress().map(({ level, offset }) => [level, offset]))
    return { code: 0, body: encodeJson({ dataVersion: topics.version, offsetTable }) }
  }
}
