import { text } from '../options.ts'
import type { CliCommand } from '../types.ts'

export const clusterList: CliCommand = {
  noun: 'cluster',
  verb: 'list',
  alias: 'clusterList',
  summary: 'Every broker, with its address, version and load',
  options: [{ flags: '-c, --cluster <cluster>', meaning: 'only this cluster' }],
  async run({ admin, options, say }) {
    const only = text(options, 'cluster')
    const brokers = (await admin.cluster.brokers()).filter((broker) => only === undefined || broker.cluster === only)
    const value = await Promise.all(
      brokers.map(async (broker) => {
        try {
          return { ...broker, runtime: await admin.cluster.runtimeInfo(broker.address) }
        } catch (error) {
          say(`${broker.brokerName} at ${broker.address} did not answer: ${(error as Error).message}`)
          return { ...broker, runtime: undefined }
        }
      }),
    )
    const rows = value.map((b) => [
      b.cluster,
      b.brokerName,
      b.brokerId,
      b.address,
      b.runtime?.brokerVersionDesc ?? 'no answer',
      rate(b.runtime?.putTps),
      rate(b.runtime?.getTransferredTps ?? b.runtime?.getTransferedTps),
    ])
    const columns = ['cluster', 'broker', 'id', 'address', 'version', 'in/s', 'out/s']
    return { value, tables: [{ columns, rows }], exitCode: only !== undefined && brokers.length === 0 ? 1 : 0 }
  },
}

/** Apache gives three averages (10 s, 1 min, 10 min): the first is shown. */
const rate = (averages: string | undefined): string => Number(averages?.trim().split(/\s+/)[0] ?? 0).toFixed(1)
