/**
 * The NameServer: brokers tell it what they hold, clients ask it where to go. It keeps no state that brokers do not renew within half a
 * minute (KV settings apart), so several of them need not know of each other.
 */
import { GetRouteinfoByTopic } from '@skylarkmq/remoting/protocol'
import { route, startRemotingServer } from '@skylarkmq/remoting'
import type { Route } from '@skylarkmq/remoting'
import type { Figure, Runtime } from '@skylarkmq/runtime'
import type { NamesrvConfig } from './config.ts'
import { administrationRoutes } from './processors/administration.ts'
import { brokerRoutes } from './processors/brokers.ts'
import { settingRoutes } from './processors/settings.ts'
import { topicRoute } from './processors/topic-route.ts'
import { namesrvFigures } from './figures.ts'
import { createState } from './state.ts'
import type { NamesrvState } from './state.ts'

export interface Namesrv {
  readonly host: string
  readonly port: number
  /** What a monitor reads, computed now. */
  figures(): Iterable<Figure>
  /** Why it should get no traffic now; empty when it is ready. */
  unready(): readonly string[]
  close(): Promise<void>
}

/** Resolves when the port accepts. Missing settings have their defaults. */
export async function startNamesrv(runtime: Runtime, config: Partial<NamesrvConfig> = {}): Promise<Namesrv> {
  const state = createState(runtime, config)
  const { listenPort, bindAddress, serverChannelMaxIdleTimeSeconds, scanNotActiveBrokerInterval } = state.config
  let isClosing = false
  const server = await startRemotingServer(runtime, {
    name: 'namesrv',
    host: bindAddress,
    port: listenPort,
    routes: namesrvRoutes(state),
    limits: { idleMs: serverChannelMaxIdleTimeSeconds * 1000 },
    // A broker whose connection is gone is gone (RocketMQ 5.3 `BrokerHousekeepingService`): clients stop being sent to it.
    onClose: (connection) => {
      state.readers.drop(connection)
      if (isClosing) return
      for (const broker of state.routes.channelClosed(connection)) runtime.log.warn('broker left: its connection closed', { ...broker })
    },
  })
  const scan = runtime.clock.every(scanNotActiveBrokerInterval, () => expireSilentBrokers(state))
  return {
    host: server.host,
    port: server.port,
    figures: () => namesrvFigures(state),
    unready: () => (isClosing ? ['it is closing'] : []),
    async close() {
      isClosing = true
      scan.cancel()
      await server.close()
      state.creator.close()
    },
  }
}

/** Every request that a NameServer answers. */
export function namesrvRoutes(state: NamesrvState): Route[] {
  // Two lanes, so that a storm of route queries leaves room for registrations, and the other way round.
  const clients = { name: 'route', maxInFlight: state.config.clientRequestThreadPoolQueueCapacity }
  const others = { name: 'default', maxInFlight: state.config.defaultThreadPoolQueueCapacity }
  return [
    route(GetRouteinfoByTopic, clients, topicRoute(state)),
    ...brokerRoutes(state, others),
    ...administrationRoutes(state, others),
    ...settingRoutes(state, others),
  ]
}

export function expireSilentBrokers({ routes, runtime }: NamesrvState): void {
  for (const { identity, channel, heartbeatTimeoutMs } of routes.expire(runtime.clock.monotonic())) {
    runtime.log.warn('broker given up: silent for too long', { ...identity, heartbeatTimeoutMs })
    channel.close()
  }
}
