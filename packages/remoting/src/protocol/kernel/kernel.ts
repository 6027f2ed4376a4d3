import { Buffer } from 'node:buffer'
import { assert } from '@skylarkmq/runtime'
import { KERNEL_BINARY } from './binary.ts'
import type { DerivationSizes } from './derivation.ts'
import { Derivation, derivationBytes } from './derivation.ts'
import * as layout from './layout.ts'

/** What `assembly/` exports: see there. Addresses are positions in `Kernel.bytes`. */
export interface KernelCalls {
  /** Reads the JSON header of a send that lies at this address. True when nothing about it is unusual: then its results are there. */
  scanSend(at: number, length: number): number
  /**
   * Takes whole frames in `[at, end)`, usual sends of the run's topic, at most `rows`: lays their records at `recordAt`, in `room` bytes, and
   * notes in slots from `slot` on what their answers need. How many; see `RUN`. Then `putQueueOffsets`, and when all is stored `writeReplies`.
   */
  takeSends(
    at: number,
    end: number,
    recordAt: number,
    room: number,
    physicalOffset: number,
    storeTimestamp: number,
    slot: number,
    rows: number,
    isScanned: number,
  ): number
  putQueueOffsets(slot: number, count: number): void
  writeReplies(slot: number, count: number, at: number): number
  /** As `scanSend`, for the header of SEND_BATCH_MESSAGE. */
  scanBatch(at: number, length: number): number
  /** Bytes of the records of the batch that lies there; -1 when anything about it is unusual. */
  measureBatch(at: number, length: number, overhead: number): number
  encodeBatch(
    at: number,
    bodyAt: number,
    bodyLength: number,
    overhead: number,
    sysFlag: number,
    queueOffset: number,
    physicalOffset: number,
    storeTimestamp: number,
  ): void
  /** Notes in the slot what the answer to the request needs whose header was scanned. */
  noteRequest(slot: number): void
  /** The answer to the batch that was noted in that slot, with an id for each of the float64 offsets at `offsetsAt`. Its length. */
  writeBatchReply(slot: number, at: number, queueOffset: number, idLength: number, offsetsAt: number, count: number): number
  /** Derives what the views hold of the records in `[at, end)`, up to the first that is unusual: how many. See `Derivation`. */
  deriveRun(at: number, end: number): number
  recordDigest(at: number): number
  /** 1 when `size` bytes there, at least of a record's head, are the record with this digest, and the body that its CRC tells. */
  isAsWritten(at: number, size: number, digest: number): number
  /**
   * Notes at `picks` where the records of `count` entries lie, of which the first is of message `queueOffset`; the log's bytes `[from, end)` are
   * at `at`. How many, and `PICK.bytes`: it stops before a record that is not wholly there, or one too many. -1: something is not as it should be.
   */
  pickRecords(
    entry: number,
    count: number,
    place: number,
    queueId: number,
    queueOffset: number,
    from: number,
    end: number,
    at: number,
    bytesBefore: number,
    bytesMax: number,
    isOld: number,
    picks: number,
  ): number
  putPicks(picks: number, count: number, to: number): void
  copy(to: number, from: number, length: number): void
  /** Unmasked CRC-32 of `[start, end)`, as an int32. */
  crc32(start: number, end: number): number
  /** Likewise of `length` bytes at `from`, which are copied on the way; the two must not overlap. */
  copyWithCrc32(to: number, from: number, length: number): number
}

export interface KernelSizes {
  readonly ringBytes: number
  /** For what sockets bring. */
  readonly receiveBytes: number
  /** For what is to be sent. */
  readonly outBytes: number
  /** Likewise, for long answers. */
  readonly largeOutBytes?: number
  /** For what is read from the log. */
  readonly readBytes?: number
  /** Sends that may be under way at once. */
  readonly slots: number
  /** For the body of a batch that has come in parts. */
  readonly batchBytes?: number
  /** For the store's views; without it they are derived by the code in TypeScript. */
  readonly derivation?: DerivationSizes
}

/** Where in `words` `scanSend` leaves what it read, and where bytes go that lie outside the memory. A literal: the engine knows its values. */
export const SCANNED = {
  opaque: layout.OPAQUE,
  topicAt: layout.TOPIC_AT,
  topicLength: layout.TOPIC_LENGTH,
  topicHash: layout.TOPIC_HASH,
  queueId: layout.QUEUE_ID,
  sysFlag: layout.SYS_FLAG,
  stampLength: layout.STAMP_LENGTH,
  uniqKeyAt: layout.UNIQ_KEY_AT,
  uniqKeyLength: layout.UNIQ_KEY_LENGTH,
  batchCount: layout.BATCH_COUNT,
  waits: layout.WAITS,
  inputAt: layout.INPUT_AT,
  inputBytes: layout.INPUT_BYTES_MAX,
} as const

/** Where in `words` a run of sends finds what it needs (see `setRun`), and leaves what came of it. */
export const RUN = {
  nextAt: layout.RUN_NEXT_AT,
  bytes: layout.RUN_BYTES,
  keyBytes: layout.RUN_KEY_BYTES,
  stop: layout.RUN_STOP,
  neededBytes: layout.RUN_NEEDED_BYTES,
} as const

/** Why a run ended. */
export const RUN_STOP = { unusual: layout.STOP_UNUSUAL, topic: layout.STOP_TOPIC, room: layout.STOP_ROOM } as const

/** Of `pickRecords`: what a pick takes, and where in `words` the bytes of all are. */
export const PICK = { bytesEach: layout.PICKS_BYTES, bytes: layout.PICKED_BYTES } as const

/** What a slot of the kernel takes: bytes, and where in `ints` and `floats` (which count from the slot's address) its parts are. */
export const SLOT = {
  bytes: layout.SLOT_BYTES,
  queueId: layout.SLOT_QUEUE_ID,
  queueOffset: layout.SLOT_QUEUE_OFFSET,
  keyBytes: layout.SLOT_KEY_BYTES,
  replyDigits: layout.REPLY_DIGITS,
} as const

/** What holds for all sends of a run, beside their topic. */
export interface RunRules {
  readonly bodyBytesMax: number
  /** Bits of sysFlag: those that the hosts ask for, and those that a sender may set. */
  readonly hostFlags: number
  readonly flagsAllowed: number
  /** A send that does not wait for the flush ends the run. */
  readonly mustWait: boolean
}

/** What the name of a property means to `scanSend`. */
export const PROPERTY_KIND = { unusual: layout.UNUSUAL, uniqKey: layout.UNIQ_KEY, wait: layout.WAIT } as const

/** What is used of the platform's WebAssembly. */
interface Platform {
  readonly Memory: new (pages: { readonly initial: number; readonly maximum: number }) => { readonly buffer: ArrayBuffer }
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown }
}
const { WebAssembly } = globalThis as unknown as { readonly WebAssembly: Platform }

export interface SlotContents {
  readonly opaque: number
  readonly queueId: number
  readonly isOneway: boolean
  /** The header of the request was binary. */
  readonly isBinary: boolean
  readonly version: number
  readonly queueOffset: number
  readonly physicalOffset: number
  readonly key: string
}

const PAGE_BYTES = 65_536
/** Words are read and written whole, also at the end of a text. */
const SLACK_BYTES = 64

/**
 * The work on bytes that each message needs (reading its header, writing its record and its answer, deriving what the views hold), as
 * WebAssembly over one memory in which all of these bytes lie: the buffer of the sockets, the ring of the log, the buffers of answers. Why:
 * the same work in JavaScript costs twice as much and depends on what else the engine has met. What is unusual takes the declared route, in
 * TypeScript; property tests hold both equal.
 */
export class Kernel {
  readonly bytes: Buffer
  /** Results of calls: indices are in `layout.ts`. */
  readonly words: Int32Array
  readonly numbers: Float64Array
  /** All of the memory. */
  readonly ints: Int32Array
  readonly floats: Float64Array
  readonly calls: KernelCalls
  readonly ringAt: number
  readonly ring: Buffer
  readonly receive: Buffer
  readonly out: Buffer
  readonly largeOut: Buffer
  readonly read: Buffer
  readonly #slotsAt: number
  readonly slots: number
  readonly batchAt: number
  readonly batchBytes: number
  readonly derivation: Derivation | undefined

  constructor(sizes: KernelSizes) {
    let end: number = layout.FREE_AT
    const place = (length: number): number => {
      const at = end
      end = at + Math.ceil((length + SLACK_BYTES) / 8) * 8
      return at
    }
    this.ringAt = place(sizes.ringBytes)
    const receiveAt = place(sizes.receiveBytes)
    const outAt = place(sizes.outBytes)
    const largeOutAt = place(sizes.largeOutBytes ?? 0)
    const readAt = place(sizes.readBytes ?? 0)
    this.#slotsAt = place(sizes.slots * layout.SLOT_BYTES)
    this.slots = sizes.slots
    this.batchBytes = sizes.batchBytes ?? 0
    this.batchAt = place(this.batchBytes)
    const derivationAt = place(sizes.derivation === undefined ? 0 : derivationBytes(sizes.derivation))
    const pages = Math.ceil(end / PAGE_BYTES)
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages })
    const exports = new WebAssembly.Instance(compiled(), { env: { memory } }).exports
    const { addName, makeTables, ...calls } = exports as KernelCalls & {
      addName(at: number, length: number, kind: number): number
      makeTables(): void
    }
    makeTables()
    this.#addName = addName
    this.calls = calls
    this.bytes = Buffer.from(memory.buffer)
    this.words = new Int32Array(memory.buffer, 0, layout.NAMES_MET_AT / 4)
    this.numbers = new Float64Array(memory.buffer, layout.NUMBERS_AT, 8)
    this.ints = new Int32Array(memory.buffer)
    this.floats = new Float64Array(memory.buffer)
    this.derivation = sizes.derivation && new Derivation(memory.buffer, sizes.derivation, derivationAt)
    this.ring = this.bytes.subarray(this.ringAt, this.ringAt + sizes.ringBytes)
    this.receive = this.bytes.subarray(receiveAt, receiveAt + sizes.receiveBytes)
    this.out = this.bytes.subarray(outAt, outAt + sizes.outBytes)
    this.largeOut = this.bytes.subarray(largeOutAt, largeOutAt + (sizes.largeOutBytes ?? 0))
    this.read = this.bytes.subarray(readAt, readAt + (sizes.readBytes ?? 0))
  }

  readonly #addName: (at: number, length: number, kind: number) => number

  /** Says what a property of this name means to `scanSend`: one of `PROPERTY_KIND`. */
  addName(name: string, kind: number): void {
    const length = this.bytes.write(name, layout.INPUT_AT)
    assert(this.#addName(layout.INPUT_AT, length, kind) !== 0, `the kernel has no room for the property name ${name}`)
  }

  /** The texts of records and answers, in the order of their lengths in `layout`. False: they are too long. */
  setTexts(texts: readonly Uint8Array[], labelLengths: readonly number[]): boolean {
    const joined = Buffer.concat(texts)
    if (joined.length > layout.TEXTS_BYTES - SLACK_BYTES) return false
    this.bytes.set(joined, layout.TEXTS_AT)
    this.words.set([...texts.map((text) => text.length), ...labelLengths], layout.STAMP_LENGTH)
    return true
  }

  /** For the records that are written from now on. */
  setHosts(bornHost: Uint8Array, storeHost: Uint8Array): void {
    this.bytes.set(bornHost, layout.BORN_HOST_AT)
    this.bytes.set(storeHost, layout.STORE_HOST_AT)
  }

  /** Address of slot `index`. */
  slotAt(index: number): number {
    // The sentence would be made each time.
    if (index < 0 || index >= this.slots) assert(false, `the kernel has ${this.slots} slots, none of number ${index}`)
    return this.#slotsAt + index * layout.SLOT_BYTES
  }

  /** That nobody waits for the answer to what was noted there. */
  isOneway(slot: number): boolean {
    return ((this.ints[(slot + layout.SLOT_REQUEST_FLAG) / 4] as number) & 2) !== 0
  }

  /** What `takeSends` has noted there; `noteRequest` notes no offsets. */
  slotOf(slot: number): SlotContents {
    const keyAt = slot + layout.SLOT_KEY
    const word = (at: number): number => this.bytes.readInt32LE(slot + at)
    const double = (at: number): number => this.bytes.readDoubleLE(slot + at)
    return {
      opaque: word(0),
      queueId: word(layout.SLOT_QUEUE_ID),
      isOneway: this.isOneway(slot),
      isBinary: (word(layout.SLOT_REQUEST_FLAG) & layout.BINARY) !== 0,
      version: word(layout.SLOT_VERSION),
      queueOffset: double(layout.SLOT_QUEUE_OFFSET),
      physicalOffset: double(layout.SLOT_PHYSICAL_OFFSET),
      key: this.bytes.toString('utf8', keyAt, keyAt + word(layout.SLOT_KEY_LENGTH)),
    }
  }

  /** The topic whose sends `takeSends` takes: a name of 255 bytes at most, with so many queues. An empty name: none, it only scans. */
  setRunTopic(name: Uint8Array, queues: number): void {
    if (name.length > layout.RUN_TOPIC_BYTES_MAX) {
      assert(false, `a topic of ${name.length} bytes; the kernel has room for ${layout.RUN_TOPIC_BYTES_MAX}`)
    }
    this.bytes.set(name, layout.RUN_TOPIC_AT)
    // No name is of no length.
    this.words[layout.RUN_TOPIC_LENGTH] = name.length === 0 ? -1 : name.length
    this.words[layout.RUN_QUEUES] = queues
  }

  setRunRules({ bodyBytesMax, hostFlags, flagsAllowed, mustWait }: RunRules): void {
    const { words } = this
    words[layout.RUN_BODY_BYTES_MAX] = bodyBytesMax
    words[layout.RUN_HOST_FLAGS] = hostFlags
    words[layout.RUN_FLAGS_ALLOWED] = flagsAllowed
    words[layout.RUN_MUST_WAIT] = mustWait ? 1 : 0
  }

  /** Where a header, `bytes[start, end)`, can be scanned; `base` is the address of `bytes`. Copied in when it lies elsewhere; -1: too long. */
  headerAt(bytes: Uint8Array, base: number, start: number, end: number): number {
    if (base >= 0) return base + start
    if (end - start > layout.INPUT_BYTES_MAX) return -1
    this.bytes.set(bytes.subarray(start, end), layout.INPUT_AT)
    return layout.INPUT_AT
  }

  #lastAsked: Uint8Array | undefined
  #lastAddress = -1

  /** Where these bytes lie in the memory: `-1` when they lie elsewhere. */
  addressOf(bytes: Uint8Array): number {
    // The engine is slow to say which buffer a view is of, and the same view is asked for again and again.
    if (bytes !== this.#lastAsked) {
      this.#lastAsked = bytes
      this.#lastAddress = bytes.buffer === this.bytes.buffer ? bytes.byteOffset : -1
    }
    return this.#lastAddress
  }
}

let module: object | undefined
const compiled = (): object => (module ??= new WebAssembly.Module(Buffer.from(KERNEL_BINARY, 'base64')))
