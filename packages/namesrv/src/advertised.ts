import { addressFor, parseAddressRules } from '@skylarkmq/remoting/protocol'
import type { AddressRule, BrokerData } from '@skylarkmq/remoting/protocol'
import { ADVERTISED_BROKERS } from './limits.ts'

/**
 * Brokers that clients reach at different addresses from different networks (a container and its host, a site and the world): a broker
 * sends its rules along when it registers (setting advertisedAddresses), and each client is told the address of its own network.
 */
export class Advertised {
  readonly #rules = new Map<string, readonly AddressRule[]>()

  get isEmpty(): boolean {
    return this.#rules.size === 0
  }

  /** The rules of the broker that registers as `brokerAddr`. Rules that cannot be read count as none: the broker has checked them. */
  set(brokerAddr: string, text: string | undefined): void {
    if (!text) {
      this.#rules.delete(brokerAddr)
      return
    }
    if (!this.#rules.has(brokerAddr) && this.#rules.size >= ADVERTISED_BROKERS) return
    try {
      this.#rules.set(brokerAddr, parseAddressRules(text, Number(brokerAddr.slice(brokerAddr.lastIndexOf(':') + 1))))
    } catch {
      this.#rules.delete(brokerAddr)
    }
  }

  addressFor(brokerAddr: string, clientHost: string): string {
    return addressFor(this.#rules.get(brokerAddr) ?? [], clientHost) ?? brokerAddr
  }

  /** The same brokers as a client of that host is to see them; the very same value when nothing is different. */
  seenFrom(clientHost: string, broker: BrokerData): BrokerData {
    if (this.isEmpty) return broker
    const entries = Object.entries(broker.brokerAddrs).map(([id, address]) => [id, this.addressFor(address, clientHost)] as const)
    if (entries.every(([id, address]) => broker.brokerAddrs[id] === address)) return broker
    return { ...broker, brokerAddrs: Object.fromEntries(entries) }
  }
}
