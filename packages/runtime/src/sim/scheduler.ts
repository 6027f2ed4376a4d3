import { assert } from '../assert.ts'
import type { Timer } from '../clock.ts'
import { drainMicrotasks } from './drain.ts'
import type { SeededRandom } from './random.ts'

/** `work` is input and output under way, which `settle` waits for; a `timer` is somebody's plan, which it does not. */
export type EventKind = 'work' | 'timer'

interface Event {
  readonly atMs: number
  readonly tie: number
  readonly kind: EventKind
  task: (() => void) | undefined
}

const isBefore = (left: Event, right: Event): boolean => left.atMs < right.atMs || (left.atMs === right.atMs && left.tie < right.tie)

/** More events than this without a pause is a loop, not a test. */
const EVENTS_MAX = 20_000_000

/**
 * Virtual time. One event runs, every promise that it has woken runs, then the next event by (time, seeded tie): what is simultaneous
 * happens in an order that only the seed decides.
 */
export class Scheduler {
  #nowMs = 0
  #running = false
  #work = 0
  #eventsRun = 0
  #fingerprint = 0
  readonly #heap: Event[] = []
  readonly #random: SeededRandom

  constructor(random: SeededRandom) {
    this.#random = random
  }

  /** Milliseconds, with fraction, since the world began. */
  get nowMs(): number {
    return this.#nowMs
  }

  /** A number that two runs share only when the same events happened at the same times. */
  get fingerprint(): number {
    return this.#fingerprint
  }

  get eventsRun(): number {
    return this.#eventsRun
  }

  schedule(delayMs: number, kind: EventKind, task: () => void): Timer {
    assert(!Number.isNaN(delayMs), 'a delay must be a number')
    const event: Event = { atMs: this.#nowMs + Math.max(0, delayMs), tie: this.#random.fraction(), kind, task }
    if (kind === 'work') this.#work++
    this.#push(event)
    return {
      cancel: () => {
        if (event.task && kind === 'work') this.#work--
        event.task = undefined
      },
    }
  }

  /** Runs all that happens within the next `ms`; then it is that much later. */
  async run(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms
    await this.#loop(() => this.#peek() !== undefined && (this.#peek() as Event).atMs <= endMs)
    this.#nowMs = endMs
  }

  /** Runs until no input or output is under way. Timers run only while waiting for it. */
  settle(): Promise<void> {
    return this.#loop(() => this.#work > 0)
  }

  /** Runs until `isDone`, or nothing is left to happen, or `limitMs` have passed. Says whether it is done. */
  async runUntil(isDone: () => boolean, limitMs: number): Promise<boolean> {
    const endMs = this.#nowMs + limitMs
    await this.#loop(() => !isDone() && (this.#peek()?.atMs ?? Number.POSITIVE_INFINITY) <= endMs)
    return isDone()
  }

  async #loop(mayContinue: () => boolean): Promise<void> {
    assert(!this.#running, 'the world is already running: await one run before the next')
    this.#running = true
    try {
      await drainMicrotasks()
      while (mayContinue()) {
        const event = this.#pop()
        if (!event) return
        this.#nowMs = event.atMs
        const task = event.task as () => void
        event.task = undefined
        if (event.kind === 'work') this.#work--
        this.#count(event)
        task()
        await drainMicrotasks()
      }
    } finally {
      this.#running = false
    }
  }

  #count(event: Event): void {
    this.#eventsRun++
    assert(this.#eventsRun < EVENTS_MAX, `more than ${EVENTS_MAX} events: something goes round in circles`)
    this.#fingerprint = (Math.imul(this.#fingerprint ^ Math.floor(event.atMs * 1e6), 0x01000193) + (event.kind === 'work' ? 1 : 2)) >>> 0
  }

  /** The next event that was not cancelled. */
  #peek(): Event | undefined {
    while (this.#heap.length > 0 && this.#heap[0]?.task === undefined) this.#removeFirst()
    return this.#heap[0]
  }

  #pop(): Event | undefined {
    const event = this.#peek()
    if (event) this.#removeFirst()
    return event
  }

  #push(event: Event): void {
    const heap = this.#heap
    let at = heap.push(event) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(event, heap[parent] as Event)) break
      heap[at] = heap[parent] as Event
      at = parent
    }
    heap[at] = event
  }

  #removeFirst(): void {
    const heap = this.#heap
    const last = heap.pop() as Event
    if (heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Event, heap[child] as Event)) child++
      if (!isBefore(heap[child] as Event, last)) break
      heap[at] = heap[child] as Event
      at = child
    }
    heap[at] = last
  }
}
