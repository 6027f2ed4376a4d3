interface Item<T> {
  readonly dueAt: number
  readonly value: T
}

/** What is due next, first. Whoever changes its mind adds anew and ignores the old one when it comes. */
export class DueHeap<T> {
  #items: Item<T>[] = []

  get size(): number {
    return this.#items.length
  }

  get nextDueAt(): number | undefined {
    return this.#items[0]?.dueAt
  }

  add(dueAt: number, value: T): void {
    const items = this.#items
    const item = { dueAt, value }
    let at = items.length
    while (at > 0) {
      const parent = (at - 1) >> 1
      if ((items[parent] as Item<T>).dueAt <= dueAt) break
      items[at] = items[parent] as Item<T>
      at = parent
    }
    items[at] = item
  }

  /** The first one that is due, with the time that it was added with. */
  takeDue(now: number): { readonly dueAt: number; readonly value: T } | undefined {
    const first = this.#items[0]
    if (first === undefined || first.dueAt > now) return undefined
    const last = this.#items.pop() as Item<T>
    if (this.#items.length > 0) this.#sink(last)
    return first
  }

  /** Leaves out what is no longer wanted. */
  prune(isWanted: (dueAt: number, value: T) => boolean): void {
    const kept = this.#items.filter(({ dueAt, value }) => isWanted(dueAt, value))
    this.#items = []
    for (const { dueAt, value } of kept) this.add(dueAt, value)
  }

  #sink(item: Item<T>): void {
    const items = this.#items
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= items.length) break
      if (child + 1 < items.length && (items[child + 1] as Item<T>).dueAt < (items[child] as Item<T>).dueAt) child++
      if ((items[child] as Item<T>).dueAt >= item.dueAt) break
      items[at] = items[child] as Item<T>
      at = child
    }
    items[at] = item
  }
}
