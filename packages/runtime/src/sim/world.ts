import { assert } from '../assert.ts'
import type { Runtime } from '../runtime.ts'
import { SimClock } from './clock.ts'
import { SimDisk } from './disk.ts'
import { DiskMachine } from './disk-machine.ts'
import type { LogLine } from './log.ts'
import { formatLine, RecordingLog } from './log.ts'
import { SimNetwork } from './network.ts'
import type { LinkOptions } from './pipe.ts'
import type { SeededRandom } from './random.ts'
import { seededRandom } from './random.ts'
import { Scheduler } from './scheduler.ts'

/** One computer of a world: a runtime with its own disk, address and wall clock. */
export interface SimNode extends Runtime {
  readonly name: string
  /** Its address in the world's network; its name works as well. */
  readonly host: string
  readonly clock: SimClock
  readonly disk: SimDisk
  readonly random: SeededRandom
}

interface Machine {
  readonly name: string
  readonly host: string
  readonly disk: DiskMachine
  lives: number
  life: { over: boolean }
  node: SimNode | undefined
}

/** Several computers on one virtual time and one network, wholly determined by a seed. */
export class World {
  readonly seed: number
  /** Every line that any node has logged. */
  readonly lines: LogLine[] = []
  readonly #random: SeededRandom
  readonly #scheduler: Scheduler
  readonly #network: SimNetwork
  readonly #machines = new Map<string, Machine>()

  constructor(seed: number) {
    this.seed = seed
    this.#random = seededRandom(seed)
    this.#scheduler = new Scheduler(this.#random.fork('ties'))
    this.#network = new SimNetwork(this.#scheduler, this.#random.fork('network'))
  }

  /** Virtual milliseconds since the world began. */
  get nowMs(): number {
    return this.#scheduler.nowMs
  }

  /** Equal in two runs only when the same things happened at the same times. */
  get fingerprint(): number {
    return this.#scheduler.fingerprint
  }

  get openConnections(): number {
    return this.#network.openConnections
  }

  /** The computer of this name, made on first use. After `crash` or `kill` it is a new runtime on the old disk and address. */
  node(name: string): SimNode {
    const machine = this.#machines.get(name) ?? this.#addMachine(name)
    machine.node ??= this.#boot(machine)
    return machine.node
  }

  /** Lets the next `ms` of virtual time happen. */
  run(ms: number): Promise<void> {
    return this.#scheduler.run(ms)
  }

  /** Runs until no bytes, disk operations or turn tasks are under way. Timers fire only while that takes. */
  settle(): Promise<void> {
    return this.#scheduler.settle()
  }

  /** Runs until the promise settles and gives its result. Throws when nothing is left to happen, or `limitMs` have passed. */
  async until<T>(promise: Promise<T>, limitMs = 600_000): Promise<T> {
    let isSettled = false
    const note = (): void => {
      isSettled = true
    }
    promise.then(note, note)
    const startMs = this.nowMs
    if (await this.#scheduler.runUntil(() => isSettled, limitMs)) return promise
    const waited = `${Math.round(this.nowMs - startMs)} ms of virtual time (limit ${limitMs})`
    throw new Error(`deadlock: a promise is still waiting after ${waited}, seed ${this.seed}; the last lines were\n${this.report(10)}`)
  }

  /** Runs until the condition holds, looking after each event. Throws as `until` does. */
  async when(isTrue: () => boolean, limitMs = 600_000): Promise<void> {
    if (await this.#scheduler.runUntil(isTrue, limitMs)) return
    throw new Error(
      `the condition never held within ${limitMs} ms of virtual time, seed ${this.seed}; the last lines were\n${this.report(10)}`,
    )
  }

  /** Power off at a node: it stops in the middle, unsynced writes are kept, lost or torn, its peers notice nothing until it is back. */
  crash(name: string): void {
    this.#die(name, true)
    this.#machine(name).disk.crash()
  }

  /** kill -9 of the node's process: it stops in the middle, its disk keeps every write, its peers see a reset. */
  kill(name: string): void {
    this.#die(name, false)
  }

  /** A node's address, also while the node is off. */
  hostOf(name: string): string {
    return this.#machine(name).host
  }

  /** A node's disk as it stands, to look at, also while the node is off. */
  diskOf(name: string): SimDisk {
    return new SimDisk(this.#machine(name).disk, () => this.nowMs)
  }

  /** Everything between these nodes is held back until `heal`; connecting times out. `oneWay` holds only what goes from left to right. */
  partition(left: readonly string[], right: readonly string[], options: { readonly oneWay?: boolean } = {}): void {
    this.#network.partition(left, right, options)
  }

  heal(): void {
    this.#network.heal()
  }

  /** Everything between two nodes is held back for a while. */
  stall(left: string, right: string, ms: number): void {
    this.#network.stall(left, right, ms)
  }

  /** Resets every connection between two nodes (or within one). Returns how many there were. */
  cut(left: string, right: string): number {
    return this.#network.cut(left, right)
  }

  /** Delay and splitting of connections that are opened from now on. */
  setLink(link: Partial<LinkOptions>): void {
    this.#network.link = { ...this.#network.link, ...link }
  }

  /** The last lines of the log, as text. */
  report(lines = this.lines.length): string {
    return lines === 0 ? '' : this.lines.slice(-lines).map(formatLine).join('\n')
  }

  #addMachine(name: string): Machine {
    const number = this.#machines.size + 1
    assert(number < 250, 'a world has room for 250 nodes')
    const disk = new DiskMachine(this.#scheduler, this.#random.fork(`disk of ${name}`))
    const machine: Machine = { name, host: `10.0.0.${number}`, disk, lives: 0, life: { over: true }, node: undefined }
    this.#machines.set(name, machine)
    this.#network.addNode(name, machine.host)
    return machine
  }

  #boot(machine: Machine): SimNode {
    const { name, host } = machine
    const life = { over: false }
    machine.life = life
    machine.lives++
    this.#network.nodeLives(name)
    const clock = new SimClock(this.#scheduler)
    const disk = new SimDisk(machine.disk, () => clock.now())
    return {
      name,
      host,
      clock,
      disk,
      network: this.#network.portOf(name, life),
      random: this.#random.fork(`${name} #${machine.lives}`),
      log: new RecordingLog(this.lines, name, () => this.nowMs),
    }
  }

  #machine(name: string): Machine {
    const machine = this.#machines.get(name)
    assert(machine !== undefined, `there is no node '${name}' in this world`)
    return machine
  }

  #die(name: string, silently: boolean): void {
    const machine = this.#machine(name)
    assert(machine.node !== undefined, `node '${name}' is dead already`)
    machine.life.over = true
    machine.node.clock.stop()
    machine.node.disk.endLife()
    machine.node = undefined
    this.#network.nodeDied(name, silently)
  }
}
