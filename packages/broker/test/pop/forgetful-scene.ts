import { simRuntime } from '@skylarkmq/runtime/sim'
import type { World } from '@skylarkmq/runtime/sim'
import type { MetadataStore } from '@skylarkmq/store'
import { startBroker } from '../../src/index.ts'
import type { Broker, BrokerConfig } from '../../src/index.ts'
import { TestClient, memoryTables } from '../support.ts'

const FLUSH_MS = 1000
const TABLES = ['topics', 'groups', 'offsets', 'delay', 'kv'] as const

/** Small state as SQLite keeps it: what was set in the last second is gone when the process dies. */
class ForgetfulTables {
  readonly #now: () => number
  #durable = memoryTables()
  #current = memoryTables()
  #dirtySince: number | undefined

  constructor(now: () => number) {
    this.#now = now
  }

  /** What a broker gets to see, in this life. */
  open(): MetadataStore {
    const change = (task: (tables: MetadataStore) => void): void => {
      if (this.#dirtySince !== undefined && this.#now() - this.#dirtySince >= FLUSH_MS) this.#flush()
      this.#dirtySince ??= this.#now()
      task(this.#current)
    }
    return {
      entries: (table) => this.#current.entries(table),
      get: (table, key) => this.#current.get(table, key),
      set: (table, key, value) => change((tables) => tables.set(table, key, value)),
      delete: (table, key) => change((tables) => tables.delete(table, key)),
      flush: () => this.#flush(),
      sync: () => Promise.resolve(this.#flush()),
      close: () => this.#flush(),
    }
  }

  die(): void {
    if (this.#dirtySince !== undefined && this.#now() - this.#dirtySince >= FLUSH_MS) this.#flush()
    this.#current = copyOf(this.#durable)
    this.#dirtySince = undefined
  }

  #flush(): void {
    this.#durable = copyOf(this.#current)
    this.#dirtySince = undefined
  }
}

function copyOf(from: MetadataStore): MetadataStore {
  const copy = memoryTables()
  for (const table of TABLES) for (const [key, value] of from.entries(table)) copy.set(table, key, value)
  return copy
}

/** A broker that loses with its life what a real one loses. */
export interface ForgetfulScene {
  readonly world: World
  client(name: string): TestClient
  /** kill: the process ends. crash: the power goes, and with it what was not synced. */
  die(how: 'kill' | 'crash'): Promise<void>
  restart(): Promise<void>
  close(): Promise<void>
}

export async function startForgetfulScene(config: Partial<BrokerConfig>): Promise<ForgetfulScene> {
  const { world } = simRuntime(7)
  const tables = new ForgetfulTables(() => world.nowMs)
  const open = (): Promise<Broker> => {
    const node = world.node('broker')
    const fixed = { brokerIP1: node.host, brokerName: 'broker-a', storePathRootDir: '/store', mappedFileSizeCommitLog: 1024 * 1024 }
    return world.until(startBroker(node, { ...fixed, ...config }, { metadata: tables.open() }))
  }
  let broker = await open()
  return {
    world,
    client: (name) => new TestClient(world, world.node(name), broker.address, []),
    async die(how) {
      world[how]('broker')
      tables.die()
      broker = await open()
    },
    async restart() {
      await world.until(broker.close())
      broker = await open()
    },
    close: () => world.until(broker.close()),
  }
}
