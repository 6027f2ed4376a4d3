import { SYSTEM_GROUPS, checkGroupName, encodeJson, normalizeGroupConfig } from '@skylarkmq/remoting/protocol'
import type { DataVersion, SubscriptionGroupConfig } from '@skylarkmq/remoting/protocol'
import type { Clock } from '@skylarkmq/runtime'
import type { MetadataStore } from '@skylarkmq/store'
import type { Settings } from '../config.ts'

const VERSION_KEY = 'groupDataVersion'

/** The consumer groups and their settings (RocketMQ 5.3 `SubscriptionGroupManager`). */
export class GroupConfigs {
  readonly #groups = new Map<string, SubscriptionGroupConfig>()
  readonly #metadata: MetadataStore
  readonly #clock: Clock
  readonly #settings: Settings
  #version: DataVersion

  constructor(metadata: MetadataStore, clock: Clock, settings: Settings) {
    this.#metadata = metadata
    this.#clock = clock
    this.#settings = settings
    for (const [group, text] of metadata.entries('groups')) this.#groups.set(group, normalizeGroupConfig(JSON.parse(text)))
    const version = metadata.get('kv', VERSION_KEY)
    this.#version = version === undefined ? { stateVersion: 0, timestamp: clock.now(), counter: 0 } : (JSON.parse(version) as DataVersion)
    for (const groupName of SYSTEM_GROUPS)
      if (!this.#groups.has(groupName)) this.#groups.set(groupName, normalizeGroupConfig({ groupName }))
  }

  get version(): DataVersion {
    return this.#version
  }

  get(group: string): SubscriptionGroupConfig | undefined {
    return this.#groups.get(group)
  }

  all(): IterableIterator<SubscriptionGroupConfig> {
    return this.#groups.values()
  }

  /** The group; made with the default settings when it is missing, its name is sound and autoCreateSubscriptionGroup is on. */
  findOrCreate(groupName: string): SubscriptionGroupConfig | undefined {
    const old = this.#groups.get(groupName)
    if (old !== undefined) return old
    if (!this.#settings.current.autoCreateSubscriptionGroup || checkGroupName(groupName) !== undefined) return undefined
    const config = normalizeGroupConfig({ groupName })
    this.set(config)
    return config
  }

  set(config: SubscriptionGroupConfig): void {
    this.#groups.set(config.groupName, config)
    this.#metadata.set('groups', config.groupName, encodeJson(config).toString())
    this.#bump()
  }

  delete(group: string): boolean {
    if (!this.#groups.delete(group)) return false
    this.#metadata.delete('groups', group)
    this.#bump()
    return true
  }

  #bump(): void {
    this.#version = { ...this.#version, timestamp: this.#clock.now(), counter: this.#version.counter + 1 }
    this.#metadata.set('kv', VERSION_KEY, JSON.stringify(this.#version))
  }
}
