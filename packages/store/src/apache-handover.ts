import { join } from 'node:path'
import type { Disk } from '@skylarkmq/runtime'
import type { MessageToStore } from './types.ts'

const ROLLED_BACK = 0xc
const LOOPBACK = new Uint8Array([127, 0, 0, 1, 0, 0, 0, 0])

/** Has Apache's broker left consume queues here, which it will go on with when it opens the folder again? */
export function hasApacheQueues(disk: Disk, rootDirectory: string): boolean {
  return disk.list(join(rootDirectory, 'consumequeue')).length > 0
}

/**
 * A record that no view takes up. After a clean stop Apache's broker dispatches what begins *behind* the end of what its queues know
 * (RocketMQ 5.5 CommitLog#recoverNormally), and so forgets a record that begins exactly there: the first that we append to its log.
 */
export const HANDOVER_RECORD: MessageToStore = {
  topic: 'RMQ_SYS_SKYLARK_HANDOVER',
  queueId: 0,
  flag: 0,
  sysFlag: ROLLED_BACK,
  bornTimestamp: 0,
  bornHost: LOOPBACK,
  storeHost: LOOPBACK,
  reconsumeTimes: 0,
  preparedTransactionOffset: 0,
  body: new Uint8Array(0),
  properties: new Uint8Array(0),
}
