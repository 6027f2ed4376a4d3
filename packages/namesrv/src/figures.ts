import type { Figure } from '@skylarkmq/runtime'
import type { NamesrvState } from './state.ts'

/** What a monitor reads of a NameServer. Apache's has no metrics: the names are ours. */
export function* namesrvFigures({ routes, cache, runtime, startedMs }: NamesrvState): Generator<Figure> {
  const gauge = (name: string, help: string, value: number, labels: Record<string, string> = {}): Figure => ({
    name,
    help,
    value,
    labels,
    kind: 'gauge',
  })
  yield gauge('skylark_namesrv_topics', 'topics with a route', routes.topicNames().length)
  yield gauge('skylark_namesrv_route_cache_bytes', 'encoded routes in memory', cache.sizeBytes)
  yield gauge('skylark_uptime_seconds', 'since the start', Math.round((runtime.clock.monotonic() - startedMs) / 1000))
  const brokers = routes.brokers()
  for (const [cluster, names] of routes.clusters()) {
    const addresses = [...names].reduce((sum, name) => sum + Object.keys(brokers.get(name)?.brokerAddrs ?? {}).length, 0)
    yield gauge('skylark_namesrv_brokers', 'brokers that are registered', addresses, { cluster })
  }
}
