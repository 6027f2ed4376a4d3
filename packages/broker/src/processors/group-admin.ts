import { checkGroupName, decodeGroupConfig, encodeJson, isSystemGroup } from '@skylarkmq/remoting/protocol'
import type { DeleteSubscriptiongroup, GetSubscriptiongroupConfig, RequestOf } from '@skylarkmq/remoting/protocol'
import type { Reply, RequestContext } from '@skylarkmq/remoting'
import { SUCCESS, groupMissing, plain, refuse } from '../answers.ts'
import type { GroupConfigs } from '../groups/group-configs.ts'
import type { ConsumerOffsets } from '../offsets/consumer-offsets.ts'
import type { StartPins } from '../offsets/start-pins.ts'

export interface GroupAdminDeps {
  readonly groupConfigs: GroupConfigs
  readonly offsets: ConsumerOffsets
  readonly startPins: StartPins
}

export function updateGroup({ groupConfigs }: GroupAdminDeps) {
  return (_header: unknown, context: RequestContext): Reply<never> => {
    const config = decodeGroupConfig(context.body)
    const wrong = checkGroupName(config.groupName)
    if (wrong !== undefined) return refuse('INVALID_PARAMETER', wrong)
    for (const name of ['retryQueueNums', 'retryMaxTimes'] as const) {
      if (config[name] < -1 || config[name] > 65_536) {
        return refuse('INVALID_PARAMETER', `${name} of group ${plain(config.groupName)} is ${config[name]}; it must be from -1 to 65536`)
      }
    }
    groupConfigs.set(config)
    return SUCCESS
  }
}

export function deleteGroup({ groupConfigs, offsets, startPins }: GroupAdminDeps) {
  return ({ groupName, cleanOffset }: RequestOf<typeof DeleteSubscriptiongroup>): Reply<never> => {
    if (isSystemGroup(groupName)) return refuse('INVALID_PARAMETER', `the group ${plain(groupName)} belongs to the system and stays`)
    if (!groupConfigs.delete(groupName)) return groupMissing(groupName)
    if (cleanOffset) offsets.deleteGroup(groupName)
    startPins.deleteGroup(groupName)
    return SUCCESS
  }
}

export function getAllGroups({ groupConfigs }: GroupAdminDeps) {
  return (): Reply<never> => {
    const groups = [...groupConfigs.all()]
    const table = Object.fromEntries(groups.map((config) => [config.groupName, config]))
    const body = encodeJson({ dataVersion: groupConfigs.version, forbiddenTable: {}, subscriptionGroupTable: table })
    return { code: 0, ext: { totalGroupNum: String(groups.length) }, body }
  }
}

export function getGroup({ groupConfigs }: GroupAdminDeps) {
  return ({ group }: RequestOf<typeof GetSubscriptiongroupConfig>): Reply<never> => {
    const config = groupConfigs.get(group)
    return config === undefined ? groupMissing(group) : { code: 0, body: encodeJson(config) }
  }
}
