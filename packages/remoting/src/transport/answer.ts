import type { AnyCommand, ResponseOf } from '../protocol/command.ts'
import type { Frame } from '../protocol/frame-types.ts'
import { isRetryableCode, RESPONSE_CODES, responseCodeName } from '../protocol/response-code.ts'
import { RocketError } from '../protocol/rocket-error.ts'
import { decodeHeader } from '../protocol/schema.ts'
import { describeCommand } from './replies.ts'
import type { Answer } from './types.ts'

export class FrameAnswer<C extends AnyCommand> implements Answer<C> {
  readonly address: string
  readonly #command: C
  readonly #frame: Frame

  constructor(address: string, command: C, frame: Frame) {
    this.address = address
    this.#command = command
    this.#frame = frame
  }

  get code(): number {
    return this.#frame.code
  }

  get remark(): string | undefined {
    return this.#frame.remark
  }

  get ext(): Answer<C>['ext'] {
    return this.#frame.ext
  }

  get body(): Uint8Array {
    return this.#frame.body
  }

  get version(): number {
    return this.#frame.version
  }

  get command(): C {
    return this.#command
  }

  header(): ResponseOf<C> {
    return decodeHeader(this.#command.response, this.#frame.ext) as ResponseOf<C>
  }
}

/** The answer if its code is 0; else throws a RocketError with the address, the code's name and number, and the server's remark. */
export function expectSuccess<A extends Answer<AnyCommand>>(answer: A): A {
  const { address, code, remark } = answer
  if (code === 0) return answer
  const name = responseCodeName(code)
  const request = answer instanceof FrameAnswer ? ` to ${describeCommand(answer.command as AnyCommand)}` : ''
  const sentence = name === undefined ? 'This code is not in the table of RocketMQ.' : RESPONSE_CODES[name].sentence
  throw new RocketError(`${address} answered ${name ?? 'UNKNOWN_CODE'} (${code})${request}: ${remark?.trim() || sentence}`, {
    code: name ?? 'UNKNOWN_CODE',
    brokerCode: code,
    retryable: isRetryableCode(code),
    address,
    phase: 'answer',
  })
}
