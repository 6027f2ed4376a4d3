import type { Answer, RemotingClient } from '@skylarkmq/remoting'
import type { AnyCommand, RequestOf } from '@skylarkmq/remoting/protocol'
import type { Clock, Random } from '@skylarkmq/runtime'
import { RocketError, isRetryableCode, responseCodeName } from '@skylarkmq/remoting/protocol'
import type { CoreInvokeOptions } from './types.ts'

const ADDRESS = /^(\[[0-9a-fA-F:.%]+\]|[^\s:;,[\]/]+):(\d{1,5})$/

/** `a:9876;b:9876` or a list of such; a leading `http://` is dropped as RocketMQ's clients do. */
export function parseNamesrvAddresses(value: string | readonly string[]): readonly string[] {
  const parts = (typeof value === 'string' ? [value] : value).flatMap((text) => text.split(';'))
  const addresses = parts
    .map((part) =>
      part
        .trim()
        .replace(/^https?:\/\//, '')
        .replace(/\/$/, ''),
    )
    .filter((part) => part !== '')
  if (addresses.length === 0) {
    throw new RocketError('namesrvAddr is empty; give the NameServer as "host:port", several separated by ";"', { code: 'BAD_ARGUMENT' })
  }
  for (const address of addresses) {
    const match = ADDRESS.exec(address)
    if (!match || Number(match[2]) === 0 || Number(match[2]) > 65535) {
      throw new RocketError(
        `namesrvAddr holds ${JSON.stringify(address)}, which is not "host:port"${address.includes(',') ? '; separate addresses by ";"' : ''}`,
        { code: 'BAD_ARGUMENT' },
      )
    }
  }
  return [...new Set(addresses)]
}

const sentenceOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** The NameServers of a client: stays with the one that answers, turns to the next when it fails. */
export class NamesrvRotation {
  readonly addresses: readonly string[]
  #current: number
  readonly #remoting: Pick<RemotingClient, 'invoke'>
  readonly #clock: Clock

  constructor(remoting: Pick<RemotingClient, 'invoke'>, addresses: readonly string[], clock: Clock, random: Random) {
    this.#remoting = remoting
    this.#clock = clock
    this.addresses = addresses
    this.#current = random.integer(addresses.length)
  }

  /** Each address once; what is left of the time is shared among those not asked yet, so that one that hangs does not use it up. */
  async invoke<C extends AnyCommand>(
    command: C,
    header: RequestOf<C>,
    options: CoreInvokeOptions & { readonly timeoutMs: number },
  ): Promise<Answer<C>> {
    const started = this.#clock.monotonic()
    const count = this.addresses.length
    const first = this.#current
    const failures: { address: string; error: unknown }[] = []
    for (let i = 0; i < count; i++) {
      const index = (first + i) % count
      const address = this.addresses[index] as string
      const remainingMs = options.timeoutMs - (this.#clock.monotonic() - started)
      if (remainingMs <= 0 && i > 0) {
        failures.push({ address, error: new Error('not asked: no time was left') })
        continue
      }
      try {
        const answer = await this.#remoting.invoke(address, command, header, {
          body: options.body,
          signal: options.signal,
          timeoutMs: Math.max(1, Math.ceil(remainingMs / (count - i))),
        })
        // Not ready yet or overloaded: another one may be better. TOPIC_NOT_EXIST is an answer, not a failure.
        if (answer.code !== 17 && answer.code !== 16 && isRetryableCode(answer.code) && count > 1) {
          failures.push({ address, error: new Error(`${responseCodeName(answer.code)}: ${answer.remark ?? ''}`) })
          if (i < count - 1) continue
          return answer
        }
        this.#current = index
        return answer
      } catch (error) {
        if (error instanceof RocketError && (error.code === 'ABORTED' || error.code === 'CLOSED')) throw error
        failures.push({ address, error })
        this.#current = (index + 1) % count
      }
    }
    throw namesrvError(failures)
  }
}

function namesrvError(failures: readonly { address: string; error: unknown }[]): RocketError {
  const tried = failures.map((f) => `${f.address} (${sentenceOf(f.error)})`).join(', ')
  const last = failures.at(-1)
  const codes = new Set(failures.map((f) => (f.error instanceof RocketError ? f.error.code : 'CONNECT_FAILED')))
  return new RocketError(`no NameServer answered: tried ${tried}; check namesrvAddr and that the NameServer runs there`, {
    code: codes.size === 1 ? ([...codes][0] as string) : 'CONNECT_FAILED',
    retryable: true,
    phase: 'resolve',
    address: last?.address,
    cause:
      failures.length === 1
        ? last?.error
        : new AggregateError(
            failures.map((f) => f.error),
            'every NameServer failed',
          ),
  })
}
