/** A broker that is known by an IPv6 address only, and unmodified clients that can read such records. */
import { createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ourCluster } from './src/clusters.ts'
import type { Cluster } from './src/clusters.ts'
import { FEATURES } from './src/features.ts'
import { OurProbe } from './src/our-probe.ts'
import { javaClient } from './src/toolchains.ts'
import type { Maker } from './src/toolchains.ts'

const hasIPv6 = await new Promise<boolean>((resolve) => {
  const server = createServer()
  server.once('error', () => resolve(false))
  server.listen(0, '::1', () => server.close(() => resolve(true)))
})
const ours: Maker = { name: 'skylarkmq', missing: undefined, make: (namesrv) => new OurProbe(namesrv) }
const clients: readonly Maker[] = [javaClient('5.5.0'), javaClient('4.9.8'), ours]
const feature = FEATURES.find(({ name }) => name === 'send sync, consume concurrently')

describe.skipIf(!hasIPv6)(`a broker at ::1${hasIPv6 ? '' : ' (skipped: no IPv6 on this machine)'}`, () => {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await ourCluster({ brokerIP1: '::1', bindAddress: '::1' })
  }, 120_000)
  afterAll(() => cluster?.stop(), 60_000)

  test.each(clients.map((maker) => [maker.name, maker] as const))(
    '%s sends to it and consumes from it',
    { timeout: 200_000 },
    async (_, maker) => {
      if (maker.missing !== undefined) return
      const probe = maker.make(cluster.namesrv)
      try {
        expect(feature).toBeDefined()
        await feature?.run(cluster, probe, probe)
      } finally {
        await probe.stop()
      }
    },
  )
})
