import type { EventEmitter } from 'node:events'
import type { ClientCore } from '../core/types.ts'
import { queueWithoutNamespace } from '../namespace.ts'
import type { ConsumerEvents } from './engine-options.ts'
import type { StallWatchOptions } from './stall-watch.ts'
import { StallWatch } from './stall-watch.ts'

export interface StallReportOptions extends Pick<StallWatchOptions, 'stalledAfterMs' | 'queues' | 'isPaused' | 'mayConsume'> {
  readonly core: ClientCore
  readonly group: string
  readonly events: EventEmitter<ConsumerEvents>
}

/** Tells the log and the application of queues that make no progress. Returns what ends it. */
export function reportStalls({ core, group, events, ...watched }: StallReportOptions): () => void {
  const watch = new StallWatch({
    ...watched,
    clock: core.clock,
    stalled: (stall) => {
      const { queue, ...rest } = stall
      core.log.warn('a queue makes no progress', { ...queue, ...rest, group })
      events.emit('stalled', { ...stall, queue: queueWithoutNamespace(core.namespace, queue) })
    },
    recovered: (queue) => {
      core.log.info('a queue makes progress again', { ...queue, group })
      events.emit('recovered', queueWithoutNamespace(core.namespace, queue))
    },
  })
  return () => watch.stop()
}
