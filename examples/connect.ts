import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Where the examples find a cluster: NAMESRV_ADDR, else one that `npm start` (or `skylark dev`) runs on this machine. */
export const namesrvAddr = process.env.NAMESRV_ADDR ?? '127.0.0.1:9876'

/** A name of its own for each run, so that an example finds only its own messages. */
export const fresh = (word: string): string => `${word}-${Date.now().toString(36)}-${process.pid}`

/** The cluster that NAMESRV_ADDR names; without it, one inside this process that is gone afterwards. */
export async function openCluster(): Promise<{ namesrvAddr: string; close(): Promise<void> }> {
  const given = process.env.NAMESRV_ADDR
  if (given) return { namesrvAddr: given, async close() {} }
  const [{ startLocal }, { nodeRuntime }] = await Promise.all([import('@skylarkmq/standalone'), import('@skylarkmq/runtime/node')])
  const storePath = mkdtempSync(join(tmpdir(), 'skylark-example-'))
  const local = await startLocal(nodeRuntime(), { storePath })
  return {
    namesrvAddr: local.namesrvAddr,
    async close() {
      await local.close()
      rmSync(storePath, { recursive: true, force: true })
    },
  }
}
