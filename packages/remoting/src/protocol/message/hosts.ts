import { RocketError } from '../rocket-error.ts'

/** Hosts as records and message ids hold them: 4 or 16 address bytes, then the port as int32. */
export interface HostAndPort {
  readonly host: string
  readonly port: number
}

const DECIMAL_PART = /^(0|[1-9]\d{0,2})$/
const HEX_PART = /^[0-9a-fA-F]{1,4}$/

function parseV4(text: string): number[] | undefined {
  const parts = text.split('.')
  if (parts.length !== 4) return undefined
  const bytes: number[] = []
  for (const part of parts) {
    const value = DECIMAL_PART.test(part) ? Number(part) : 256
    if (value > 255) return undefined
    bytes.push(value)
  }
  return bytes
}

function parseGroups(text: string): number[] | undefined {
  if (text === '') return []
  const bytes: number[] = []
  const parts = text.split(':')
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] as string
    if (i === parts.length - 1 && part.includes('.')) {
      const v4 = parseV4(part)
      if (v4 === undefined) return undefined
      bytes.push(...v4)
    } else {
      if (!HEX_PART.test(part)) return undefined
      const value = Number.parseInt(part, 16)
      bytes.push(value >> 8, value & 0xff)
    }
  }
  return bytes
}

function parseV6(text: string): number[] | undefined {
  const zone = text.indexOf('%')
  const halves = (zone < 0 ? text : text.slice(0, zone)).split('::')
  if (halves.length > 2) return undefined
  const head = parseGroups(halves[0] as string)
  if (head === undefined) return undefined
  if (halves.length === 1) return head.length === 16 ? head : undefined
  const tail = parseGroups(halves[1] as string)
  if (tail === undefined || head.length + tail.length > 14) return undefined
  return [...head, ...Array.from({ length: 16 - head.length - tail.length }, () => 0), ...tail]
}

/** The 4 or 16 bytes of an IP address in text, brackets allowed; undefined when it is none. IPv4 inside IPv6 (`::ffff:1.2.3.4`) gives 4. */
export function addressBytes(host: string): Uint8Array | undefined {
  const text = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
  const bytes = text.includes(':') ? parseV6(text) : parseV4(text)
  if (bytes === undefined) return undefined
  if (bytes.length === 16 && bytes[10] === 0xff && bytes[11] === 0xff && bytes.slice(0, 10).every((b) => b === 0)) {
    return Uint8Array.from(bytes.slice(12))
  }
  return Uint8Array.from(bytes)
}

/** 8 bytes for an IPv4 address, 20 for IPv6. Names are refused: records hold addresses. */
export function hostToBytes(host: string, port: number): Uint8Array {
  const address = addressBytes(host)
  if (address === undefined) {
    throw new RocketError(`the host ${JSON.stringify(host)} is not an IP address; messages record addresses, so give one (brokerIP1)`, {
      code: 'BAD_ARGUMENT',
    })
  }
  if (!Number.isInteger(port) || port < -2147483648 || port > 2147483647) {
    throw new RocketError(`the port ${port} of the host ${host} is not a whole number of 32 bits`, { code: 'BAD_ARGUMENT' })
  }
  const bytes = new Uint8Array(address.length + 4)
  bytes.set(address)
  writePort(bytes, address.length, port)
  return bytes
}

function writePort(bytes: Uint8Array, at: number, port: number): void {
  bytes[at] = port >>> 24
  bytes[at + 1] = port >>> 16
  bytes[at + 2] = port >>> 8
  bytes[at + 3] = port
}

/** IPv6 in its short form (RFC 5952), without brackets. */
export function formatAddress(bytes: Uint8Array, start: number, length: 4 | 16): string {
  if (length === 4) return `${bytes[start]}.${bytes[start + 1]}.${bytes[start + 2]}.${bytes[start + 3]}`
  const groups: number[] = []
  for (let i = 0; i < 16; i += 2) groups.push(((bytes[start + i] as number) << 8) | (bytes[start + i + 1] as number))
  let zerosAt = -1
  let zeros = 1
  for (let i = 0; i < 8; i++) {
    let end = i
    while (end < 8 && groups[end] === 0) end++
    if (end - i > zeros) {
      zerosAt = i
      zeros = end - i
    }
    if (end > i) i = end
  }
  const hex = (from: number, to: number): string =>
    groups
      .slice(from, to)
      .map((g) => g.toString(16))
      .join(':')
  return zerosAt < 0 ? hex(0, 8) : `${hex(0, zerosAt)}::${hex(zerosAt + zeros, 8)}`
}

/** The inverse of `hostToBytes`: 8 or 20 bytes. */
export function hostFromBytes(bytes: Uint8Array): HostAndPort {
  if (bytes.length !== 8 && bytes.length !== 20) {
    throw new RocketError(`a host of ${bytes.length} bytes cannot be; it has 8 (IPv4) or 20 (IPv6)`, { code: 'BAD_ARGUMENT' })
  }
  const length = bytes.length === 8 ? 4 : 16
  const port =
    ((bytes[length] as number) << 24) |
    ((bytes[length + 1] as number) << 16) |
    ((bytes[length + 2] as number) << 8) |
    (bytes[length + 3] as number)
  return { host: formatAddress(bytes, 0, length), port }
}
