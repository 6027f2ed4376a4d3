import type { AnyCommand } from '../protocol/command.ts'
import type { Frame } from '../protocol/frame-types.ts'
import { timedOut } from './client-errors.ts'
import type { Waiting } from './pending-requests.ts'

/** A request of ours that waits for its answer. One object without closures: there is one for each message. */
export class ClientRequest implements Waiting {
  readonly command: AnyCommand
  readonly deadlineMs: number
  readonly timeoutMs: number
  readonly connection: { readonly address: string; readonly isMade: boolean }
  readonly onAnswer: (answer: Frame) => void
  readonly onError: (error: Error) => void
  /** Undoes what else was set up for it; most requests need nothing. */
  onSettled: (() => void) | undefined = undefined

  constructor(
    connection: ClientRequest['connection'],
    command: AnyCommand,
    times: { readonly deadlineMs: number; readonly timeoutMs: number },
    onAnswer: ClientRequest['onAnswer'],
    onError: ClientRequest['onError'],
  ) {
    this.connection = connection
    this.command = command
    this.deadlineMs = times.deadlineMs
    this.timeoutMs = times.timeoutMs
    this.onAnswer = onAnswer
    this.onError = onError
  }

  resolve(answer: Frame): void {
    this.onSettled?.()
    this.onAnswer(answer)
  }

  reject(error: Error): void {
    this.onSettled?.()
    this.onError(error)
  }

  onTimeout(): Error {
    const { address, isMade } = this.connection
    return timedOut(address, this.command, this.timeoutMs, isMade ? 'wait' : 'connect')
  }
}
