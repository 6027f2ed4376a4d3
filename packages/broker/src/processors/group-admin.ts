import { checkGroupName, decodeGroupConfig, encodeJson, isSystemGroup } from '@skylarkmq/remoting/protocol'
import type { DeleteSubscriptiongroup, GetSubscriptiongroupConfig, RequestOf, SubscriptionGroupConfig } from '@skylarkmq/remoting/protocol'
import type { Reply, RequestContext } from '@skylarkmq/remoting'
import { SUCCESS, groupMissing, plain, refuse } from '../answers.ts'
import type { Refusal } from '../answers.ts'
import { alterAttributes, isRefusedChange } from '../attributes.ts'
import type { Settings } from '../config.ts'
import type { ForbiddenTopics } from '../groups/forbidden-topics.ts'
import { GROUP_ATTRIBUTES } from '../groups/group-attributes.ts'
import type { GroupConfigs } from '../groups/group-configs.ts'
import type { ConsumerOffsets } from '../offsets/consumer-offsets.ts'
import type { StartPins } from '../offsets/start-pins.ts'

export interface GroupAdminDeps {
  readonly groupConfigs: GroupConfigs
  readonly settings: Settings
  readonly offsets: ConsumerOffsets
  readonly startPins: StartPins
  readonly forbidden: ForbiddenTopics
}

export function updateGroup(deps: GroupAdminDeps) {
  return (_header: unknown, context: RequestContext): Reply<never> => {
    const config = changedGroup(deps, decodeGroupConfig(context.body))
    if ('remark' in config) return config
    deps.groupConfigs.set(config)
    return SUCCESS
  }
}

/** The group as it will be: its attributes are told as changes, `+name` and `-name` (RocketMQ 5.5 `SubscriptionGroupManager`). */
export function changedGroup(
  { groupConfigs, settings }: Pick<GroupAdminDeps, 'groupConfigs' | 'settings'>,
  config: SubscriptionGroupConfig,
): SubscriptionGroupConfig | Refusal {
  const wrong = checkGroupName(config.groupName)
  if (wrong !== undefined) return refuse('INVALID_PARAMETER', wrong)
  for (const name of ['retryQueueNums', 'retryMaxTimes'] as const) {
    if (config[name] < -1 || config[name] > 65_536) {
      return refuse('INVALID_PARAMETER', `${name} of group ${plain(config.groupName)} is ${config[name]}; it must be from -1 to 65536`)
    }
  }
  const old = groupConfigs.get(config.groupName)?.attributes
  const attributes = alterAttributes(GROUP_ATTRIBUTES, old, Object.entries(config.attributes), settings)
  return isRefusedChange(attributes) ? attributes : { ...config, attributes }
}

export function deleteGroup({ groupConfigs, offsets, startPins, forbidden }: GroupAdminDeps) {
  return ({ groupName, cleanOffset }: RequestOf<typeof DeleteSubscriptiongroup>): Reply<never> => {
    if (isSystemGroup(groupName)) return refuse('INVALID_PARAMETER', `the group ${plain(groupName)} belongs to the system and stays`)
    if (!groupConfigs.delete(groupName)) return groupMissing(groupName)
    if (cleanOffset) offsets.deleteGroup(groupName)
    startPins.deleteGroup(groupName)
    forbidden.deleteGroup(groupName)
    return SUCCESS
  }
}

export function getAllGroups({ groupConfigs, forbidden }: GroupAdminDeps) {
  return (): Reply<never> => {
    const groups = [...groupConfigs.all()]
    const table = Object.fromEntries(groups.map((config) => [config.groupName, config]))
    const body = encodeJson({ dataVersion: groupConfigs.version, forbiddenTable: forbidden.table(), subscriptionGroupTable: table })
    return { code: 0, ext: { totalGroupNum: String(groups.length) }, body }
  }
}

export function getGroup({ groupConfigs }: GroupAdminDeps) {
  return ({ group }: RequestOf<typeof GetSubscriptiongroupConfig>): Reply<never> => {
    const config = groupConfigs.get(group)
    return config === undefined ? groupMissing(group) : { code: 0, body: encodeJson(config) }
  }
}
