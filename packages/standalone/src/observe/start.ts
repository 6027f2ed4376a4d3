import type { Runtime } from '@skylarkmq/runtime'
import { measuredDisk } from './process-figures.ts'
import type { Observed, Observer } from './observer.ts'

export interface ObserveConfig {
  readonly metricsExporterType: 'DISABLE' | 'PROM'
  readonly metricsPromExporterHost: string
  readonly metricsPromExporterPort: number
  readonly adminApi: 'OFF' | 'READ' | 'CHANGE'
}

export interface Observation {
  /** The world to start the server with: its disk is timed when figures are wanted. */
  readonly runtime: Runtime
  /** Opens the listener; does nothing when it is switched off. */
  start(observed: Observed, namesrvAddr: string): Promise<Observer | undefined>
}

/** fastify and the histograms cost some 60 ms and 20 MB: nobody pays for them who has not asked. */
export function observation(runtime: Runtime, config: ObserveConfig): Observation {
  if (config.metricsExporterType === 'DISABLE') return { runtime, start: async () => undefined }
  const { disk, sync } = measuredDisk(runtime.disk)
  return {
    runtime: { ...runtime, disk },
    async start(observed, namesrvAddr) {
      const [{ startObserver }, { ProcessFigures }] = await Promise.all([import('./observer.ts'), import('./process-figures.ts')])
      const own = new ProcessFigures(sync)
      const { metricsPromExporterHost: host, metricsPromExporterPort: port, adminApi } = config
      let observer: Observer
      try {
        observer = await startObserver(observed, { host, port, adminApi, namesrvAddr, runtime, figures: () => own.figures() })
      } catch (error) {
        own.close()
        // Messages go on without their monitor.
        runtime.log.error('no metrics and no health: their port could not be opened (metricsPromExporterPort)', { host, port, error })
        return undefined
      }
      runtime.log.info('metrics, health and the admin API are served', { address: `http://${observer.host}:${observer.port}` })
      return {
        ...observer,
        async close() {
          own.close()
          await observer.close()
        },
      }
    },
  }
}
