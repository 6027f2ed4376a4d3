import { isLoopback } from '@skylarkmq/remoting/protocol'
import type { ServerConnection } from '@skylarkmq/remoting'
import { ROUTE_READERS, ROUTE_READERS_TOLD, ROUTE_READER_TOPICS } from './limits.ts'

interface Reading {
  readonly firstMs: number
  count: number
}

export interface RouteReader {
  readonly host: string
  readonly address: string
  readonly language: string
  readonly topic: string
  readonly told: string
  readonly sinceMs: number
}

/**
 * Which clients have been told which topics' routes. A client that was told a broker's address and never connects to it cannot reach it,
 * and says so nowhere but in its own log: the brokers ask here and compare (GET_ROUTE_READERS).
 */
export class RouteReaders {
  readonly #connections = new Map<ServerConnection, Map<string, Reading>>()

  note(connection: ServerConnection, topic: string, nowMs: number): void {
    let topics = this.#connections.get(connection)
    if (topics === undefined) {
      if (connection.isClosed || this.#connections.size >= ROUTE_READERS) return
      this.#connections.set(connection, (topics = new Map()))
    }
    const reading = topics.get(topic)
    if (reading !== undefined) reading.count++
    else if (topics.size < ROUTE_READER_TOPICS) topics.set(topic, { firstMs: nowMs, count: 1 })
  }

  drop(connection: ServerConnection): void {
    this.#connections.delete(connection)
  }

  /** Clients that ask again and again, at least for so long, for a topic of which `addressTold` names an address. One entry a client. */
  readers(nowMs: number, minAgeMs: number, addressTold: (topic: string, host: string) => string | undefined): RouteReader[] {
    const found: RouteReader[] = []
    for (const [connection, topics] of this.#connections) {
      const { remoteHost: host, address, language } = connection
      for (const [topic, { firstMs, count }] of topics) {
        // A tool asks once. A client asks every half minute, and sends its heartbeats to all brokers of its topics.
        if (count < 2 || nowMs - firstMs < minAgeMs) continue
        const told = addressTold(topic, host)
        if (told === undefined) continue
        // Seen from inside and from outside one computer has different names.
        if (isLoopback(host) !== isLoopback(told.slice(0, told.lastIndexOf(':')).replace(/^\[|\]$/g, ''))) continue
        found.push({ host, address, language, topic, told, sinceMs: Math.round(nowMs - firstMs) })
        break
      }
      if (found.length >= ROUTE_READERS_TOLD) break
    }
    return found
  }
}
