import type { Clock, Log } from '@skylarkmq/runtime'

/** Something with output that leaves at the end of the turn. */
export interface TurnMember {
  isDirty: boolean
  flushTurn(): void
  /** The turn failed: nothing that was promised in it may leave. */
  dropTurn(): void
}

/** What a turn's end does before its replies leave, and after. */
export interface TurnTask {
  before(): void
  after(): void
}

/**
 * The end of an event-loop turn: first the tasks (the store's write), then one write per connection that has output. Replies leave
 * after the tasks returned, so an answer never overtakes the write that it confirms. What nobody waits for (the store's views) comes
 * after them, when the peers are at work already, and before anything else is read.
 */
export class TurnEnd {
  readonly #clock: Clock
  readonly #log: Log
  readonly #tasks: TurnTask[] = []
  #dirty: TurnMember[] = []
  #isScheduled = false
  #hadRequests = false
  readonly #runBound = () => this.#run()

  constructor(clock: Clock, log: Log) {
    this.#clock = clock
    this.#log = log
  }

  addTask(task: TurnTask): void {
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
    const hadRequests = this.#hadRequests
    this.#hadRequests = false
    const hasFailed = hadRequests && !this.#runTasks()
    try {
      this.#flush(hasFailed)
      if (hadRequests) this.#runTasksAfter()
      // Pulls that were waiting for what the views have just learnt.
      this.#flush(false)
    } finally {
      this.#isScheduled = false
      if (this.#hadRequests || this.#dirty.length > 0) this.#schedule()
    }
  }

  #flush(hasFailed: boolean): void {
    const dirty = this.#dirty
    if (dirty.length === 0) return
    this.#dirty = []
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
        task.before()
      } catch (error) {
        allDone = false
        this.#log.error('a task before the replies failed; the replies of this turn are dropped and their connections closed', { error })
      }
    }
    return allDone
  }

  #runTasksAfter(): void {
    for (const task of this.#tasks) {
      try {
        task.after()
      } catch (error) {
        this.#log.error('a task after the replies failed', { error })
      }
    }
  }
}
