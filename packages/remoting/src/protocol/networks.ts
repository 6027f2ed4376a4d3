/** Addresses by the network that somebody comes from: `172.17.0.0/16=172.17.0.2;10.0.0.0/8=10.0.0.5:10911`. */
import { addressBytes } from './message/hosts.ts'
import { RocketError } from './rocket-error.ts'

export interface AddressRule {
  readonly network: string
  /** `host:port`. */
  readonly address: string
  readonly bytes: Uint8Array
  readonly bits: number
}

const bad = (sentence: string) => new RocketError(sentence, { code: 'BAD_ARGUMENT' })

/** Throws a sentence that names the rule. An address without a port gets `port`. */
export function parseAddressRules(text: string, port: number): readonly AddressRule[] {
  return text
    .split(';')
    .map((rule) => rule.trim())
    .filter((rule) => rule !== '')
    .map((rule) => {
      const [network = '', address = '', more] = rule.split('=').map((part) => part.trim())
      const [host = '', prefix] = network.split('/')
      const bytes = addressBytes(host)
      const bits = prefix === undefined ? (bytes?.length ?? 0) * 8 : Number(prefix)
      if (more !== undefined || address === '' || bytes === undefined || !/^\d+$/.test(prefix ?? '0') || bits > bytes.length * 8) {
        throw bad(
          `the rule ${JSON.stringify(rule)} cannot be read; write it as network=address, for example 172.17.0.0/16=172.17.0.2:10911`,
        )
      }
      return { network, address: withPort(address, port), bytes, bits }
    })
}

function withPort(address: string, port: number): string {
  if (addressBytes(address)?.length === 16) return `[${address}]:${port}`
  return /:\d+$/.test(address) ? address : `${address}:${port}`
}

/** The address of the first rule whose network has the host. */
export function addressFor(rules: readonly AddressRule[], host: string): string | undefined {
  const bytes = rules.length === 0 ? undefined : addressBytes(host)
  if (bytes === undefined) return undefined
  return rules.find((rule) => contains(rule, bytes))?.address
}

function contains({ bytes, bits }: AddressRule, host: Uint8Array): boolean {
  if (bytes.length !== host.length) return false
  for (let i = 0; i * 8 < bits; i++) {
    const mask = bits - i * 8 >= 8 ? 0xff : (0xff << (8 - (bits - i * 8))) & 0xff
    if (((bytes[i] as number) & mask) !== ((host[i] as number) & mask)) return false
  }
  return true
}

/** 127.0.0.0/8 and ::1. */
export function isLoopback(host: string): boolean {
  const bytes = addressBytes(host)
  return bytes?.length === 4 ? bytes[0] === 127 : (bytes?.every((byte, i) => byte === (i === 15 ? 1 : 0)) ?? host === 'localhost')
}
