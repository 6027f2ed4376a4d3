import { RECORD, SYS_FLAG } from '@skylarkmq/remoting/protocol'

const NAME_END = 1
const PROPERTY_END = 2
const MAGIC_V2 = -626_843_477
const PORT_BYTES = 4

/** Where the property text of a stored record starts; it ends with the record. -1 when the layout does not hold. */
export function propertiesStart(record: Buffer): number {
  if (record.length < RECORD.FIXED_BYTES) return -1
  const sysFlag = record.readInt32BE(RECORD.SYS_FLAG)
  const hostsBytes = ((sysFlag & SYS_FLAG.BORN_HOST_V6) === 0 ? 0 : 12) + ((sysFlag & SYS_FLAG.STORE_HOST_V6) === 0 ? 0 : 12)
  const bodyLengthAt = RECORD.BODY_LENGTH + hostsBytes
  if (bodyLengthAt + PORT_BYTES > record.length) return -1
  const bodyLength = record.readInt32BE(bodyLengthAt)
  const topicAt = bodyLengthAt + 4 + bodyLength
  if (bodyLength < 0 || topicAt + 2 > record.length) return -1
  const isV2 = record.readInt32BE(RECORD.MAGIC) === MAGIC_V2
  const lengthAt = topicAt + (isV2 ? 2 + record.readInt16BE(topicAt) : 1 + record.readInt8(topicAt))
  if (lengthAt < topicAt || lengthAt + 2 > record.length) return -1
  return lengthAt + 2
}

/**
 * Reads the named properties of stored records and nothing else: a pass over the property text's bytes decodes only what is asked for.
 * The same rules as `parseProperties`: pairs without a name or a value count for nothing, the last of equal names wins.
 */
export class PropertyReader {
  readonly #slots: ReadonlyMap<string, number>
  /** Which lengths the names have: most properties of a message are told apart by it. */
  readonly #lengths = new Set<number>()
  readonly #values: (string | undefined)[]

  constructor(names: readonly string[]) {
    this.#slots = new Map(names.map((name, slot) => [name, slot]))
    for (const name of names) this.#lengths.add(name.length)
    this.#values = names.map(() => undefined)
  }

  /** Good until the next call. */
  read(record: Uint8Array): readonly (string | undefined)[] {
    const bytes = Buffer.from(record.buffer, record.byteOffset, record.length)
    const values = this.#values
    values.fill(undefined)
    let start = propertiesStart(bytes)
    if (start < 0) return values
    while (start < bytes.length) {
      let end = bytes.indexOf(PROPERTY_END, start)
      if (end < 0) end = bytes.length
      this.#readPair(bytes, start, end)
      start = end + 1
    }
    return values
  }

  #readPair(bytes: Buffer, start: number, end: number): void {
    let split = start
    while (split < end && bytes[split] !== NAME_END) split++
    if (split === start || split >= end - 1 || !this.#lengths.has(split - start)) return
    // Names in expressions are ASCII.
    const slot = this.#slots.get(bytes.toString('latin1', start, split))
    if (slot !== undefined) this.#values[slot] = bytes.toString('utf8', split + 1, end)
  }
}
