import type { ServerConnection } from '@skylarkmq/remoting'
import type { Runtime } from '@skylarkmq/runtime'
import { Advertised } from './advertised.ts'
import { NAMESRV_CONFIG } from './config.ts'
import type { NamesrvConfig } from './config.ts'
import { TopicCreator } from './topic-creator.ts'
import { KvConfig } from './kv-config.ts'
import { RouteCache } from './route-cache.ts'
import { RouteReaders } from './route-readers.ts'
import { RouteTable } from './route-table.ts'

/** What the processors share. */
export interface NamesrvState {
  readonly runtime: Runtime
  readonly routes: RouteTable<ServerConnection>
  readonly cache: RouteCache
  readonly kv: KvConfig
  readonly advertised: Advertised
  readonly readers: RouteReaders
  readonly startedMs: number
  readonly creator: TopicCreator
  /** Replaced as a whole by updateNamesrvConfig. */
  config: NamesrvConfig
}

export function createState(runtime: Runtime, config: Partial<NamesrvConfig>): NamesrvState {
  const cache = new RouteCache()
  const state: NamesrvState = {
    runtime,
    cache,
    config: Object.freeze({ ...NAMESRV_CONFIG.defaults, ...config }),
    kv: new KvConfig(runtime.disk, config.kvConfigPath ?? NAMESRV_CONFIG.defaults.kvConfigPath),
    advertised: new Advertised(),
    readers: new RouteReaders(),
    creator: new TopicCreator(runtime),
    startedMs: runtime.clock.monotonic(),
    routes: new RouteTable<ServerConnection>(
      () => state.config,
      (topics) => {
        for (const topic of topics) cache.delete(topic)
      },
    ),
  }
  return state
}
