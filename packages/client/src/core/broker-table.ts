import type { TopicRouteData } from '@skylarkmq/remoting/protocol'

const NONE: ReadonlyMap<number, string> = new Map()

/** Broker addresses by name and id, from the routes seen, and the versions that brokers announced in heartbeat answers. */
export class BrokerTable {
  #addresses = new Map<string, ReadonlyMap<number, string>>()
  readonly #versions = new Map<string, number>()

  get names(): readonly string[] {
    return [...this.#addresses.keys()]
  }

  addressesOf(brokerName: string): ReadonlyMap<number, string> {
    return this.#addresses.get(brokerName) ?? NONE
  }

  address(brokerName: string, brokerId: number): string | undefined {
    return this.#addresses.get(brokerName)?.get(brokerId)
  }

  /** Masters always; slaves only where `slavesToo` (a producer has no business with them). */
  *all(slavesToo: boolean): Iterable<string> {
    for (const byId of this.#addresses.values()) {
      for (const [id, address] of byId) if (id === 0 || slavesToo) yield address
    }
  }

  /** Returns true when an address is new. */
  learn(route: TopicRouteData): boolean {
    let isNew = false
    for (const broker of route.brokerDatas) {
      const known = this.#addresses.get(broker.brokerName)
      const byId = new Map<number, string>()
      for (const [id, address] of Object.entries(broker.brokerAddrs)) {
        byId.set(Number(id), address)
        if (known?.get(Number(id)) !== address) isNew = true
      }
      this.#addresses.set(broker.brokerName, byId)
    }
    return isNew
  }

  /** Forgets brokers that no route names any more (RocketMQ `MQClientInstance#cleanOfflineBroker`). */
  retain(routes: Iterable<TopicRouteData>): void {
    const named = new Set<string>()
    for (const route of routes) for (const broker of route.brokerDatas) named.add(broker.brokerName)
    for (const name of this.#addresses.keys()) if (!named.has(name)) this.#addresses.delete(name)
    const live = new Set(this.all(true))
    for (const address of this.#versions.keys()) if (!live.has(address)) this.#versions.delete(address)
  }

  version(address: string): number | undefined {
    return this.#versions.get(address)
  }

  setVersion(address: string, version: number): void {
    this.#versions.set(address, version)
  }
}
