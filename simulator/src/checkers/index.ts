import type { Checker } from '../evidence.ts'
import { compaction } from './compaction.ts'
import { everyMessageEnds } from './every-message-ends.ts'
import { locks } from './locks.ts'
import { noAckedLoss } from './no-acked-loss.ts'
import { noInvented } from './no-invented.ts'
import { nothingStuck } from './nothing-stuck.ts'
import { offsets } from './offsets.ts'
import { payloadUnaltered } from './payload-unaltered.ts'
import { pops } from './pops.ts'
import { queueOrder } from './queue-order.ts'
import { rebalance } from './rebalance.ts'
import { retention } from './retention.ts'
import { timers } from './timers.ts'
import { transactions } from './transactions.ts'
import { viewsEqualLog } from './views-equal-log.ts'

/** In the order in which a person should read what they found. */
export const CHECKERS: readonly Checker[] = [
  nothingStuck,
  noAckedLoss,
  payloadUnaltered,
  noInvented,
  queueOrder,
  locks,
  everyMessageEnds,
  timers,
  transactions,
  pops,
  compaction,
  retention,
  offsets,
  rebalance,
  viewsEqualLog,
]
