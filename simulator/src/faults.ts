import type { SeededRandom } from '@skylarkmq/runtime/sim'
import type { Cluster } from './cluster.ts'
import { COMMIT_LOG } from './paths.ts'
import type { Workload } from './workload.ts'
import { GROUPS } from './workload.ts'

export type FaultName =
  | 'power-loss'
  | 'kill'
  | 'partition'
  | 'stall'
  | 'cut'
  | 'slow-disk'
  | 'full-disk'
  | 'sync-error'
  | 'clock-jump'
  | 'bit-flip'
  | 'namesrv'
  | 'consumer'

/** How often each fault is drawn; those missing never are. */
export type FaultWeights = Partial<Record<FaultName, number>>

const MEMBERS_MAX = 8

/** Breaks things, and repairs them after a while. */
export class Faults {
  readonly #cluster: Cluster
  readonly #workload: Workload
  readonly #weights: FaultWeights
  readonly #random: SeededRandom
  #isParted = false
  #repairs: { atMs: number; repair: () => void }[] = []

  constructor(cluster: Cluster, workload: Workload, weights: FaultWeights, random: SeededRandom) {
    this.#cluster = cluster
    this.#workload = workload
    this.#weights = weights
    this.#random = random
  }

  /** Repairs what is due, then breaks one thing. */
  async next(): Promise<void> {
    this.#repairDue(this.#cluster.world.nowMs)
    await this.#inject(this.#draw())
  }

  /** The world is whole again: whatever is still broken is repaired, every server started. */
  repairAll(): void {
    this.#repairDue(Number.POSITIVE_INFINITY)
    const { brokers } = this.#cluster
    if (this.#isParted) this.#heal()
    for (const node of brokers.values()) node.momentsLeft = -1
    this.#cluster.reviveNamesrvs()
    for (const name of brokers.keys()) this.#cluster.startBroker(name)
  }

  #repairDue(nowMs: number): void {
    const due = this.#repairs.filter(({ atMs }) => atMs <= nowMs)
    this.#repairs = this.#repairs.filter(({ atMs }) => atMs > nowMs)
    for (const { repair } of due) repair()
  }

  #heal(): void {
    this.#isParted = false
    this.#cluster.world.heal()
    this.#cluster.history.fault('heal', 'network')
  }

  #later(ms: number, repair: () => void): void {
    this.#repairs.push({ atMs: this.#cluster.world.nowMs + ms, repair })
  }

  #draw(): FaultName {
    const entries = Object.entries(this.#weights) as [FaultName, number][]
    let at = this.#random.fraction() * entries.reduce((sum, [, weight]) => sum + weight, 0)
    for (const [name, weight] of entries) if ((at -= weight) < 0) return name
    return (entries[0] as [FaultName, number])[0]
  }

  #aBroker(): string {
    return this.#random.pick([...this.#cluster.brokers.keys()])
  }

  #anyServer(): string {
    return this.#random.pick([...this.#cluster.brokers.keys(), ...this.#cluster.namesrvs])
  }

  async #inject(name: FaultName): Promise<void> {
    const random = this.#random
    const { world, history } = this.#cluster
    switch (name) {
      case 'power-loss':
      case 'kill':
        return this.#end(this.#aBroker(), name)
      case 'partition': {
        const left = [this.#aBroker()]
        const right = [...this.#cluster.namesrvs, ...this.#cluster.brokers.keys(), ...this.#workload.clientNodes].filter(
          (node) => !left.includes(node) && random.chance(0.5),
        )
        const oneWay = random.chance(0.3)
        world.partition(left, right, { oneWay })
        history.fault('partition', left[0] as string, `${oneWay ? 'its words do not reach' : 'cut off from'} ${right.join(', ')}`)
        this.#isParted = true
        return this.#later(random.between(500, 40_000), () => this.#heal())
      }
      case 'stall': {
        const [server, client, ms] = [this.#anyServer(), random.pick(this.#workload.clientNodes), random.integer(12_000)]
        world.stall(server, client, ms)
        return history.fault('stall', server, `${ms} ms to ${client}`)
      }
      case 'cut': {
        const [server, client] = [this.#anyServer(), random.pick(this.#workload.clientNodes)]
        world.cut(server, client)
        return history.fault('cut', server, `from ${client}`)
      }
      case 'slow-disk':
      case 'full-disk':
      case 'sync-error':
      case 'bit-flip':
        return this.#breakDisk(this.#aBroker(), name)
      case 'clock-jump': {
        const node = random.pick([...this.#cluster.brokers.keys(), ...this.#workload.clientNodes])
        const ms = Math.round(random.between(-1, 1) * random.pick([500, 20_000, 1_800_000]))
        world.node(node).clock.jump(ms)
        return history.fault('clock-jump', node, `${ms} ms`)
      }
      case 'namesrv': {
        const namesrv = random.pick(this.#cluster.namesrvs)
        this.#cluster.killNamesrv(namesrv)
        return this.#later(random.between(500, 20_000), () => this.#cluster.reviveNamesrvs())
      }
      case 'consumer':
        return this.#changeMembers()
    }
  }

  #end(broker: string, how: 'power-loss' | 'kill'): void {
    const random = this.#random
    if (!(this.#cluster.brokers.get(broker)?.isUp ?? false)) return this.#cluster.startBroker(broker)
    // Half of them in the middle of something: also of the next start.
    if (random.chance(0.5)) this.#cluster.endBroker(broker, how)
    else this.#cluster.endBrokerAtMoment(broker, how, random.integer(60))
    if (random.chance(0.25)) this.#cluster.endBrokerAtMoment(broker, how, random.integer(40))
    this.#later(random.between(200, 15_000), () => this.#cluster.startBroker(broker))
  }

  #breakDisk(broker: string, name: 'slow-disk' | 'full-disk' | 'sync-error' | 'bit-flip'): void {
    const random = this.#random
    const { world, history } = this.#cluster
    if (!(this.#cluster.brokers.get(broker)?.isUp ?? false)) return
    const { disk } = world.node(broker)
    if (name === 'slow-disk') {
      const max = random.between(10, 1500)
      disk.setLatency({ min: 1, max })
      history.fault('slow-disk', broker, `up to ${Math.round(max)} ms`)
      this.#later(random.between(1000, 20_000), () => {
        world.node(broker).disk.setLatency({ min: 0.05, max: 1 })
        history.fault('fast-disk', broker)
      })
    } else if (name === 'full-disk') {
      const { totalBytes, freeBytes } = disk.space()
      disk.setCapacity(totalBytes - freeBytes + random.integer(200_000))
      history.fault('full-disk', broker)
      this.#later(random.between(1000, 30_000), () => {
        world.node(broker).disk.setCapacity(2 ** 40)
        history.fault('roomy-disk', broker)
      })
    } else if (name === 'sync-error') {
      const part = random.pick(['/commitlog/', '/commitlog/', '/skylark/'])
      disk.failSyncs(1, (path) => path.includes(part))
      history.fault('sync-error', broker, `the next one in ${part}`)
      // A store whose sync failed asks to be restarted.
      this.#later(random.between(3000, 15_000), () => this.#cluster.endBroker(broker, 'kill'))
      this.#later(random.between(16_000, 20_000), () => this.#cluster.startBroker(broker))
    } else this.#flip(broker)
  }

  /**
   * In a segment that is not the last: nobody writes there any more. While the broker is down: what it has written or checked itself, it
   * takes to be in the platform's memory.
   */
  #flip(broker: string): void {
    this.#cluster.endBroker(broker, 'kill')
    const names = this.#cluster.world
      .diskOf(broker)
      .list(COMMIT_LOG)
      .filter((name) => /^\d{20}$/.test(name))
    for (const name of names.slice(0, -1)) {
      if (this.#random.chance(0.5)) this.#cluster.flipBit(broker, name, this.#random.integer(this.#cluster.plan.segmentBytes))
    }
    this.#later(this.#random.between(100, 3000), () => this.#cluster.startBroker(broker))
  }

  async #changeMembers(): Promise<void> {
    const random = this.#random
    const { members } = this.#workload
    const name = random.pick([...members.keys()])
    const group = members.get(name)?.group ?? GROUPS[0]
    const isLast = [...members.values()].filter((member) => member.group === group).length < 2
    const kind = random.integer(3)
    if (kind === 0 && members.size < MEMBERS_MAX) await this.#workload.join(random.pick(GROUPS))
    else if (kind === 1 && !isLast) this.#workload.killMember(name)
    else if (!isLast) await this.#workload.leave(name)
  }
}
