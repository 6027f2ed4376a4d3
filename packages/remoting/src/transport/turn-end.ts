import type { Clock, Log } from '@skylarkmq/runtime'

/** Something with output that leaves at the end of the turn. */
export interface TurnMember {
  isDirty: boolean
  flushTurn(): void
  /** The turn failed: nothing that was promised in it may leave. */
  dropTurn(): void
}

/**
 * The end of an event-loop turn: first the tasks (the store's write), then one write per connection that has output. Replies leave
 * after the tasks returned, so an answer never overtakes the write that it confirms.
 */
export class TurnEnd {
  readonly #clock: Clock
  readonly #log: Log
  readonly #tasks: (() => void)[] = []
  #dirty: TurnMember[] = []
  #isScheduled = false
  #hadRequests = false
  readonly #runBound = () => this.#run()

  constructor(clock: Clock, log: Log) {
    this.#clock = clock
    this.#log = log
  }

  addTask(task: () => void): void {
    this.#tasks.push(task)
  }

  /** The turn had requests: the tasks will run. */
  noteRequests(): void {
    if (this.#hadRequests) return
    this.#hadRequests = true
    if (this.#tasks.length > 0) this.#schedule()
  }

  markDirty(member: TurnMember): void {
    if (member.isDirty) return
    member.isDirty = true
    this.#dirty.push(member)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#clock.afterTurn(this.#runBound)
  }

  #run(): void {
    const hasFailed = this.#hadRequests && !this.#runTasks()
    this.#hadRequests = false
    const dirty = this.#dirty
    this.#dirty = []
    this.#isScheduled = false
    for (const member of dirty) {
      member.isDirty = false
      if (hasFailed) member.dropTurn()
      else member.flushTurn()
    }
  }

  #runTasks(): boolean {
    let allDone = true
    for (const task of this.#tasks) {
      try {
        task()
      } catch (error) {
        allDone = false
        this.#log.error('a task before the replies failed; the replies of this turn are dropped and their connections closed', { error })
      }
    }
    return allDone
  }
}
