import type { AnyCommand } from '../protocol/command.ts'
import type { Phase } from '../protocol/rocket-error.ts'
import { RocketError } from '../protocol/rocket-error.ts'
import { describeCommand } from './replies.ts'

/** What to check, by the code of a failed connect. */
const HINTS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there: check that the server runs and that host and port are right',
  ENOTFOUND: 'the host name is not known: check its spelling and the DNS',
  ETIMEDOUT: 'no answer came: check the address, the firewall, and that the broker advertises an address reachable from here (brokerIP1)',
  EHOSTUNREACH: 'there is no way to the host: check the network and the address',
  ENETUNREACH: 'there is no way to the network: check the network and the address',
  ECONNRESET: 'the server closed at once: check whether it expects TLS',
}

export function connectFailed(address: string, what: string, cause: unknown): RocketError {
  const found = cause instanceof Error ? (cause as Error & { code?: unknown }).code : undefined
  const code = typeof found === 'string' ? found : undefined
  const hint = (code !== undefined && HINTS[code]) || 'check the address, the network, and that the server runs'
  return new RocketError(`cannot connect to ${address} for ${what}${code === undefined ? '' : ` (${code})`}: ${hint}`, {
    code: 'CONNECT_FAILED',
    address,
    phase: 'connect',
    retryable: true,
    cause,
  })
}

export function connectionLost(address: string, what: string, phase: Phase, cause: unknown): RocketError {
  const where = phase === 'send' ? `before ${what} was sent` : `while ${what} waited for its answer`
  return new RocketError(`the connection to ${address} was lost ${where}; the server may have closed or restarted`, {
    code: 'CONNECTION_LOST',
    address,
    phase,
    retryable: true,
    cause,
  })
}

export function timedOut(address: string, command: AnyCommand, timeoutMs: number, phase: Phase): RocketError {
  const what = describeCommand(command)
  const sentence =
    phase === 'connect'
      ? `the connection to ${address} was not made within the ${timeoutMs} ms of ${what}; check the address and the network`
      : `${address} did not answer ${what} within ${timeoutMs} ms; it may be overloaded, or the time too short`
  return new RocketError(sentence, { code: 'TIMEOUT', address, phase, retryable: true })
}

export const aborted = (address: string, command: AnyCommand, signal: AbortSignal | undefined): RocketError =>
  new RocketError(`${describeCommand(command)} to ${address} was aborted by its caller`, {
    code: 'ABORTED',
    address,
    phase: 'wait',
    cause: signal?.reason,
  })
