const PAGE_BYTES = 16 * 1024

/** A long run of bytes of which only the pages ever written take room: a reserved 1 GiB segment costs nothing. */
export class SparseBytes {
  readonly #pages = new Map<number, Uint8Array>()
  size = 0

  get storedBytes(): number {
    return this.#pages.size * PAGE_BYTES
  }

  write(bytes: Uint8Array, position: number): void {
    let done = 0
    while (done < bytes.length) {
      const at = position + done
      const page = Math.floor(at / PAGE_BYTES)
      const start = at % PAGE_BYTES
      const count = Math.min(PAGE_BYTES - start, bytes.length - done)
      this.#page(page).set(bytes.subarray(done, done + count), start)
      done += count
    }
    this.size = Math.max(this.size, position + bytes.length)
  }

  /** Returns how many bytes were there to read. */
  read(target: Uint8Array, position: number): number {
    const length = Math.max(0, Math.min(target.length, this.size - position))
    let done = 0
    while (done < length) {
      const at = position + done
      const start = at % PAGE_BYTES
      const count = Math.min(PAGE_BYTES - start, length - done)
      const page = this.#pages.get(Math.floor(at / PAGE_BYTES))
      if (page) target.set(page.subarray(start, start + count), done)
      else target.fill(0, done, done + count)
      done += count
    }
    return length
  }

  resize(size: number): void {
    if (size < this.size) {
      const last = Math.floor(size / PAGE_BYTES)
      for (const page of this.#pages.keys()) {
        if (page > last) this.#pages.delete(page)
      }
      this.#pages.get(last)?.fill(0, size % PAGE_BYTES)
    }
    this.size = size
  }

  copy(): SparseBytes {
    const copy = new SparseBytes()
    for (const [page, bytes] of this.#pages) copy.#pages.set(page, bytes.slice())
    copy.size = this.size
    return copy
  }

  #page(number: number): Uint8Array {
    let page = this.#pages.get(number)
    if (!page) {
      page = new Uint8Array(PAGE_BYTES)
      this.#pages.set(number, page)
    }
    return page
  }
}
