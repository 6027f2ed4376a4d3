import { startBroker } from '@skylarkmq/broker'
import type { BrokerConfig } from '@skylarkmq/broker'
import { startNamesrv } from '@skylarkmq/namesrv'
import type { NamesrvConfig } from '@skylarkmq/namesrv'
import { joinAddress } from '@skylarkmq/remoting'
import type { Runtime } from '@skylarkmq/runtime'

/** For laptops and CI; a folder that was begun with another size keeps it. */
const SEGMENT_BYTES = 64 * 1024 * 1024

export interface LocalOptions {
  /** 0 (the default) picks a free port. */
  readonly namesrvPort?: number
  readonly brokerPort?: number
  /** The address to listen on and to be told to clients; by default 127.0.0.1. */
  readonly host?: string
  /** Where messages and settings are kept. */
  readonly storePath: string
  /** Further settings, under Apache's names. */
  readonly broker?: Partial<BrokerConfig>
  readonly namesrv?: Partial<NamesrvConfig>
}

export interface Local {
  /** What clients are given as their NameServer. */
  readonly namesrvAddr: string
  readonly brokerAddr: string
  close(): Promise<void>
}

/** NameServer and broker in one process, for development, tests and embedding. Resolves when the first message can be sent. */
export async function startLocal(runtime: Runtime, options: LocalOptions): Promise<Local> {
  const { host = '127.0.0.1', storePath } = options
  const namesrv = await startNamesrv(runtime, {
    listenPort: options.namesrvPort ?? 0,
    bindAddress: host,
    kvConfigPath: `${storePath}/namesrv/kvConfig.json`,
    configStorePath: `${storePath}/namesrv/namesrv.properties`,
    createTopicOnRouteQuery: true,
    ...options.namesrv,
  })
  const namesrvAddr = joinAddress(host, namesrv.port)
  try {
    const broker = await startBroker(runtime, {
      brokerName: 'broker-a',
      brokerIP1: host,
      bindAddress: host,
      listenPort: options.brokerPort ?? 0,
      namesrvAddr,
      storePathRootDir: storePath,
      enablePropertyFilter: true,
      mappedFileSizeCommitLog: SEGMENT_BYTES,
      ...options.broker,
    })
    return {
      namesrvAddr,
      brokerAddr: broker.address,
      async close() {
        await broker.close()
        await namesrv.close()
      },
    }
  } catch (error) {
    await namesrv.close()
    throw error
  }
}
