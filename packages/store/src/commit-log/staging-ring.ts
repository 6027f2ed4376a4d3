import { viewOf } from '../bytes.ts'

/** A run of bytes that is contiguous both in the log and in the ring. */
interface Span {
  logStart: number
  logEnd: number
  ringStart: number
}

const SPANS_MAX = 64

/**
 * The newest bytes of the log in memory. Records are encoded straight into it and written from it, and pulls at the tail are copied
 * out of it. A record never straddles the ring's end, so that each is one contiguous range; the few bytes left over there are unused.
 */
export class StagingRing {
  readonly bytes: Buffer
  readonly view: DataView
  private readonly capacity: number
  private readonly spans: Span[] = []
  private current: Span
  /** Where the next byte goes. */
  private head = 0
  /** First ring position beyond `head` that still holds older bytes. */
  private limit: number

  constructor(bytes: Buffer, logOffset: number) {
    this.capacity = bytes.length
    this.bytes = bytes
    this.view = viewOf(this.bytes)
    this.limit = bytes.length
    this.current = { logStart: logOffset, logEnd: logOffset, ringStart: 0 }
    this.spans.push(this.current)
  }

  get capacityBytes(): number {
    return this.capacity
  }

  /** Contiguous bytes before the ring's end. */
  get room(): number {
    return this.capacity - this.head
  }

  fits(length: number): boolean {
    return length <= this.room
  }

  /** Goes back to the ring's start. Only when nothing waits to be written. */
  wrap(): void {
    const end = this.head
    // What lies beyond the head is one lap older than all before it.
    for (let i = this.spans.length - 1; i >= 0; i--) {
      const span = this.spans[i] as Span
      if (span !== this.current && span.ringStart >= end) this.spans.splice(i, 1)
    }
    this.head = 0
    this.limit = 0
    this.beginSpan(this.current.logEnd)
  }

  /** The log goes on at `logOffset`: a new segment, or a step back after a failed write. */
  beginSpan(logOffset: number): void {
    this.current = { logStart: logOffset, logEnd: logOffset, ringStart: this.head }
    this.spans.push(this.current)
    if (this.spans.length > SPANS_MAX) this.spans.shift()
  }

  /** Ring position of `length` free contiguous bytes; `fits` must hold. They belong to the log after `advance`. */
  reserve(length: number): number {
    const end = this.head + length
    if (end > this.limit) this.release(end)
    return this.head
  }

  advance(length: number): void {
    this.head += length
    this.current.logEnd += length
  }

  /** Drops the last bytes of the log: they could not be written. */
  cutTo(logOffset: number): void {
    for (let i = this.spans.length - 1; i >= 0; i--) {
      const span = this.spans[i] as Span
      if (span.logStart >= logOffset) this.spans.splice(i, 1)
      else if (span.logEnd > logOffset) span.logEnd = logOffset
    }
    this.beginSpan(logOffset)
  }

  /** Ring position of log bytes `[logOffset, logOffset + length)`, or -1 when they are not all here. */
  locate(logOffset: number, length: number): number {
    for (let i = this.spans.length - 1; i >= 0; i--) {
      const span = this.spans[i] as Span
      if (logOffset >= span.logStart) return logOffset + length <= span.logEnd ? span.ringStart + (logOffset - span.logStart) : -1
    }
    return -1
  }

  /** End (in the log) of the contiguous run that holds `logOffset`, or -1. */
  runEnd(logOffset: number): number {
    for (let i = this.spans.length - 1; i >= 0; i--) {
      const span = this.spans[i] as Span
      if (logOffset >= span.logStart) return logOffset < span.logEnd ? span.logEnd : -1
    }
    return -1
  }

  /** Gives up the oldest bytes so that the ring is free up to `end`, in steps to keep it rare. */
  private release(end: number): void {
    const target = Math.min(this.capacity, Math.max(end, this.head + 65_536))
    for (let i = 0; i < this.spans.length; i++) {
      const span = this.spans[i] as Span
      if (span === this.current || span.ringStart < this.head || span.ringStart >= target) continue
      const cut = target - span.ringStart
      if (cut >= span.logEnd - span.logStart) {
        this.spans.splice(i, 1)
        i--
      } else {
        span.logStart += cut
        span.ringStart += cut
      }
    }
    this.limit = target
  }
}
