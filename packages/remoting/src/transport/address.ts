import { RocketError } from '../protocol/rocket-error.ts'

/** "host:port", IPv6 in brackets. */
export const joinAddress = (host: string, port: number): string => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`)

/** Reads "host:port" and "[v6]:port"; throws BAD_ARGUMENT with a sentence. */
export function parseAddress(address: string): { readonly host: string; readonly port: number } {
  const colon = address.lastIndexOf(':')
  const port = /^\d{1,5}$/.test(address.slice(colon + 1)) ? Number(address.slice(colon + 1)) : 0
  let host = address.slice(0, Math.max(colon, 0))
  if (host.startsWith('[') && host.endsWith(']')) host = host.slice(1, -1)
  if (host === '' || port < 1 || port > 65535) {
    throw new RocketError(`the address ${JSON.stringify(address)} cannot be used; write it as host:port, for example 127.0.0.1:9876`, {
      code: 'BAD_ARGUMENT',
      address,
    })
  }
  return { host, port }
}
