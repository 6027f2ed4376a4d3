import { simRuntime } from '@skylarkmq/runtime/sim'
import type { SimNode } from '@skylarkmq/runtime/sim'
import { openMessageStore } from '../../src/index.ts'
import type { AppendResult, MessageStore, MessageToStore, StoreOptions } from '../../src/index.ts'

export const ROOT = '/data/store'

export const OPTIONS: StoreOptions = {
  rootDirectory: ROOT,
  segmentBytes: 64 * 1024,
  flush: 'async',
  maxMessageBytes: 4096,
  delayLevelsMs: [1_000, 5_000, 10_000],
  fileReservedHours: 72,
  deleteWhenHours: [4],
  memoryBytes: 512 * 1024,
}

const utf8 = new TextEncoder()

export function properties(entries: Readonly<Record<string, string>>): Uint8Array {
  return utf8.encode(
    Object.entries(entries)
      .map(([name, value]) => `${name}\u0001${value}\u0002`)
      .join(''),
  )
}

export function message(overrides: Partial<MessageToStore> & { readonly text?: string; readonly tags?: string } = {}): MessageToStore {
  const { text, tags, ...rest } = overrides
  return {
    topic: 'orders',
    queueId: 0,
    flag: 7,
    sysFlag: 0,
    bornTimestamp: 1_700_000_000_000,
    bornHost: new Uint8Array([10, 0, 0, 1, 0, 0, 0x30, 0x39]),
    storeHost: new Uint8Array([10, 0, 0, 2, 0, 0, 0x2a, 0x9f]),
    reconsumeTimes: 0,
    preparedTransactionOffset: 0,
    body: utf8.encode(text ?? 'hello'),
    properties: tags === undefined ? new Uint8Array(0) : properties({ TAGS: tags }),
    ...rest,
  }
}

/** A store on a simulated computer, and the handful of moves that stories are made of. */
export class Bench {
  readonly sim: ReturnType<typeof simRuntime>
  node: SimNode
  options: StoreOptions
  store!: MessageStore
  /** Rules of deriving, for tests of it. */
  deriving: Parameters<typeof openMessageStore>[2]

  constructor(seed = 1, options: Partial<StoreOptions> = {}) {
    this.sim = simRuntime(seed)
    this.node = this.sim.world.node('broker')
    this.options = { ...OPTIONS, ...options }
  }

  async open(options: Partial<StoreOptions> = {}): Promise<MessageStore> {
    this.options = { ...this.options, ...options }
    this.store = await this.run(openMessageStore(this.node, this.options, this.deriving))
    return this.store
  }

  run<T>(promise: Promise<T>): Promise<T> {
    return this.sim.world.until(promise)
  }

  async append(...messages: MessageToStore[]): Promise<AppendResult[]> {
    const results: AppendResult[] = []
    for (const each of messages) this.store.append(each, this.options.flush === 'sync', (result) => results.push(result))
    this.store.commitTurn()
    while (results.length < messages.length) await this.sim.world.run(5)
    return results
  }

  async batch(messages: readonly MessageToStore[]): Promise<AppendResult> {
    const result = await this.run(
      new Promise<AppendResult>((resolve) => {
        this.store.appendBatch(messages, this.options.flush === 'sync', resolve)
      }),
    )
    this.store.finishCommit()
    return result
  }

  async close(): Promise<void> {
    await this.run(this.store.close())
  }

  /** The process dies; what it wrote is in the page cache. */
  kill(): void {
    this.sim.world.kill('broker')
    this.node = this.sim.world.node('broker')
  }

  /** The power goes: what was not synced is kept, lost or torn by the seed. */
  crash(): void {
    this.sim.world.crash('broker')
    this.node = this.sim.world.node('broker')
  }

  async readAll(topic = 'orders', queueId = 0): Promise<string[]> {
    return [...(await this.readPlaces(topic, queueId)).values()]
  }

  /** Queue offset → text. Offsets are missing where a message was lost. */
  async readPlaces(topic = 'orders', queueId = 0): Promise<Map<number, string>> {
    const texts = new Map<number, string>()
    let offset = this.store.minOffset(topic, queueId)
    for (;;) {
      const request = { topic, queueId, offset, maxMessages: 32, maxBytes: 262_144, lendsBody: true }
      const result = await this.run(Promise.resolve(this.store.read(request)))
      if (result.nextOffset === offset) return texts
      const { decodeRecords } = await import('@skylarkmq/remoting/protocol')
      for (const record of decodeRecords(result.body)) texts.set(record.queueOffset, Buffer.from(record.body).toString())
      result.release?.()
      offset = result.nextOffset
    }
  }
}

/** The body of message `n`: of a size that varies, and told by its number. */
export function textOf(n: number): string {
  return `${n}:`.padEnd(20 + ((n * 37) % 1500), String(n % 10))
}
