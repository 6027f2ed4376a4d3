import type { Clock, Random } from '@skylarkmq/runtime'
import { RocketError } from '../rocket-error.ts'
import { addressBytes, formatAddress } from './hosts.ts'
import { asBuffer, readLong, writeLong } from './longs.ts'

/** Where a message lies: the store's address and the position in its log, in upper-case hex (RocketMQ 5.3 `MessageDecoder#createMessageId`). */
export function offsetMessageId(storeHost: Uint8Array, physicalOffset: number): string {
  if (storeHost.length !== 8 && storeHost.length !== 20) {
    throw new RocketError(`a store host of ${storeHost.length} bytes cannot be; it has 8 (IPv4) or 20 (IPv6)`, { code: 'BAD_ARGUMENT' })
  }
  const bytes = Buffer.allocUnsafe(storeHost.length + 8)
  bytes.set(storeHost)
  writeLong(bytes, physicalOffset, storeHost.length)
  return bytes.toString('hex').toUpperCase()
}

/** Of messages in one store, joined as the answer to a batch has them. */
export function offsetMessageIds(storeHost: Uint8Array, physicalOffsets: readonly number[]): string {
  const [first, ...others] = physicalOffsets
  if (first === undefined) return ''
  const firstId = offsetMessageId(storeHost, first)
  if (others.length === 0) return firstId
  // Digits by hand: texts joined of pieces cost several times as much.
  const next = Buffer.from(`,${firstId}`, 'latin1')
  const ids = Buffer.allocUnsafe(next.length * others.length)
  for (let i = 0; i < others.length; i++) {
    const offset = others[i] as number
    const start = i * next.length
    ids.set(next, start)
    putHex(ids, start + next.length - 8, Math.floor(offset / 0x1_0000_0000))
    putHex(ids, start + next.length, offset | 0)
  }
  return firstId + ids.toString('latin1')
}

const HEX_DIGITS = Buffer.from('0123456789ABCDEF')

/** The eight digits of 32 bits that end before `end`. */
function putHex(bytes: Uint8Array, end: number, value: number): void {
  let rest = value
  for (let p = end - 1; p >= end - 8; p--) {
    bytes[p] = HEX_DIGITS[rest & 15] as number
    rest >>>= 4
  }
}

export interface OffsetMessageId {
  readonly host: string
  readonly port: number
  readonly storeHost: Uint8Array
  readonly physicalOffset: number
}

const HEX = /^(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{56})$/

/**
 * Undefined when the text cannot be an offset message id. A UNIQ_KEY is as long: it is told apart only by what it would mean, so ports
 * outside 1 to 65535 and offsets outside a long's safe range are refused.
 */
export function parseOffsetMessageId(text: string): OffsetMessageId | undefined {
  if (!HEX.test(text)) return undefined
  const bytes = Buffer.from(text, 'hex')
  const length = bytes.length === 16 ? 4 : 16
  const port = bytes.readInt32BE(length)
  const physicalOffset = readLong(bytes, length + 4)
  if (port < 1 || port > 65535 || physicalOffset < 0 || !Number.isSafeInteger(physicalOffset)) return undefined
  return { host: formatAddress(bytes, 0, length), port, storeHost: bytes.subarray(0, length + 4), physicalOffset }
}

const monthStart = (nowMs: number): number => {
  const date = new Date(nowMs)
  return new Date(date.getFullYear(), date.getMonth(), 1).getTime()
}
const nextMonthStart = (nowMs: number): number => {
  const date = new Date(nowMs)
  return new Date(date.getFullYear(), date.getMonth() + 1, 1).getTime()
}

/**
 * Makes client message ids (UNIQ_KEY) as Java's client does (RocketMQ 5.3 `MessageClientIDSetter`): address, 2 bytes for the process,
 * 4 for the producer (both random here), milliseconds since the month began in local time, a 16-bit counter. Tools read address and
 * time back from it. A host that is no address gives 4 random bytes.
 */
export function createUniqueIds(options: {
  readonly clock: Pick<Clock, 'now'>
  readonly random: Pick<Random, 'bytes' | 'integer'>
  readonly host?: string | undefined
}): () => string {
  const { clock, random } = options
  const address = (options.host === undefined ? undefined : addressBytes(options.host)) ?? random.bytes(4)
  const prefix = Buffer.concat([address, random.bytes(6)])
    .toString('hex')
    .toUpperCase()
  let counter = random.integer(65536)
  let from = 0
  let until = 0
  let lastMs = Number.NaN
  let prefixAndTime = ''
  return () => {
    const now = clock.now()
    // Many ids are made within a millisecond.
    if (now !== lastMs) {
      if (now >= until || now < from - 1_000_000) {
        from = monthStart(now)
        until = nextMonthStart(now)
      }
      lastMs = now
      // A wall clock that steps back over the month's start by a little must not give a negative time.
      prefixAndTime = prefix + hexByte4(Math.max(0, Math.floor(now - from)))
    }
    const id = prefixAndTime + (HEX_BYTES[counter >>> 8] as string) + (HEX_BYTES[counter & 0xff] as string)
    counter = (counter + 1) & 0xffff
    return id
  }
}

const HEX_BYTES: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0').toUpperCase())
const hexByte4 = (value: number): string => (value >>> 0).toString(16).padStart(8, '0').toUpperCase()

/** The address and the time that a UNIQ_KEY tells, or undefined when it is none. The month is the latest that is not after `nowMs`. */
export function parseUniqueId(text: string, nowMs: number): { readonly host: string; readonly timestamp: number } | undefined {
  if (!HEX.test(text)) return undefined
  const bytes = asBuffer(Buffer.from(text, 'hex'))
  const length = bytes.length === 16 ? 4 : 16
  // Unsigned: after day 24 the milliseconds pass 2^31.
  const sinceMonthStart = bytes.readUInt32BE(length + 6)
  let timestamp = monthStart(nowMs) + sinceMonthStart
  if (timestamp > nowMs) timestamp = monthStart(monthStart(nowMs) - 1) + sinceMonthStart
  return { host: formatAddress(bytes, 0, length), timestamp }
}
