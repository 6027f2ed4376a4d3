/** Requests of one template side by side, so that a write of many needs no copying: only the numbers that differ are written anew. */
import type { Template } from './requests.ts'

export interface Strip {
  readonly bytes: Buffer
  /** To be called when the bytes have left. */
  readonly release: () => void
}

export class Outbox {
  readonly template: Template
  /** Requests in one strip. */
  readonly capacity: number
  readonly #free: Strip[] = []

  constructor(template: Template, capacity: number) {
    this.template = template
    this.capacity = capacity
  }

  take(): Strip {
    return this.#free.pop() ?? this.#make()
  }

  #make(): Strip {
    const { frame } = this.template
    const bytes = Buffer.allocUnsafeSlow(this.capacity * frame.length)
    for (let i = 0; i < this.capacity; i++) frame.copy(bytes, i * frame.length)
    const strip: Strip = { bytes, release: () => this.#free.push(strip) }
    return strip
  }
}
