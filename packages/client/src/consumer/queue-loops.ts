import type { AssignedQueue } from './assigned-queue.ts'
import type { PopLoopOptions } from './pop-loop.ts'
import { PopLoop } from './pop-loop.ts'
import type { PullLoopOptions } from './pull-loop.ts'
import { PullLoop } from './pull-loop.ts'

/** What the owner of an engine that may pop brings along. */
export type PopHooks = Pick<PopLoopOptions, 'invisibleMs' | 'room' | 'onPopped' | 'onLate'>

export interface QueueLoopsOptions {
  readonly pull: PullLoopOptions
  /** Undefined while no queue is popped. */
  readonly popHooks: () => PopHooks | undefined
  readonly popsFromFirst: boolean
}

/** The loops that fetch messages, one for each queue that the consumer owns. */
export class QueueLoops {
  readonly #options: QueueLoopsOptions
  readonly #running = new Set<Promise<void>>()

  constructor(options: QueueLoopsOptions) {
    this.#options = options
  }

  /** Runs until the queue is dropped. */
  start(assigned: AssignedQueue): void {
    const { pull } = this.#options
    const loop = assigned.isPopped ? this.#newPopLoop(assigned) : new PullLoop(pull, assigned)
    const running = loop.run().catch((error) => {
      pull.core.log.error('a pull loop ended by an error of its own', { ...assigned.queue, error })
    })
    this.#running.add(running)
    void running.then(() => this.#running.delete(running))
  }

  /** All that run now have ended. */
  async ended(): Promise<void> {
    await Promise.all(this.#running)
  }

  #newPopLoop(assigned: AssignedQueue): PopLoop {
    const { pull, popHooks, popsFromFirst } = this.#options
    const { core, calls, subscriptions, limits, troubled, isPaused } = pull
    const common = { core, calls, subscriptions, troubled, isPaused: () => isPaused(assigned) }
    return new PopLoop({ ...common, ...(popHooks() as PopHooks), batchSize: limits.batchSize, fromFirst: popsFromFirst }, assigned)
  }
}
