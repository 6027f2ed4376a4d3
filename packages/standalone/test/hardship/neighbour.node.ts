/** A well-behaved client of a server that others mistreat: it must notice nothing. */
import { createRemotingClient, expectSuccess } from '@skylarkmq/remoting'
import { decodeRecords, GetRouteinfoByTopic, PULL_FLAG, PullMessage, SendMessageV2 } from '@skylarkmq/remoting/protocol'
import { silentLog } from '@skylarkmq/runtime'
import { nodeRuntime } from '@skylarkmq/runtime/node'

/** No request of a neighbour may take so long, whatever others do: this is a hang, not a speed. */
const TIMEOUT_MS = 60_000
const PAUSE_MS = 5

const runtime = nodeRuntime({ log: silentLog })

export class Neighbour {
  readonly #client = createRemotingClient({ runtime })
  readonly #work: (round: number) => Promise<void>
  readonly #ended: Promise<void>
  #rounds = 0
  #failure: unknown
  #isRunning = true
  #wake: () => void = () => {}

  private constructor(work: (client: Neighbour, round: number) => Promise<void>) {
    this.#work = (round) => work(this, round)
    this.#ended = this.#run()
  }

  /** Sends a message and pulls it back, for ever. */
  static ofBroker(address: string): Neighbour {
    return new Neighbour((self, round) => self.#sendAndPull(address, round))
  }

  /** Asks for the same route, for ever. */
  static ofNamesrv(address: string, topic: string): Neighbour {
    return new Neighbour(async (self) => {
      expectSuccess(await self.#client.invoke(address, GetRouteinfoByTopic, { topic }, { timeoutMs: TIMEOUT_MS }))
    })
  }

  /** Resolves when it has done two whole rounds from now on; rejects with what went wrong in any round so far. */
  async noticesNothing(): Promise<void> {
    const goal = this.#rounds + 2
    while (this.#failure === undefined && this.#rounds < goal) await new Promise<void>((resolve) => (this.#wake = resolve))
    if (this.#failure !== undefined) throw new Error('the neighbour noticed', { cause: this.#failure })
  }

  async stop(): Promise<void> {
    this.#isRunning = false
    await this.#ended
    this.#client.close()
  }

  async #run(): Promise<void> {
    while (this.#isRunning && this.#failure === undefined) {
      try {
        await this.#work(this.#rounds)
        this.#rounds++
      } catch (error) {
        this.#failure = error
      }
      this.#wake()
      await runtime.clock.sleep(PAUSE_MS)
    }
  }

  async #sendAndPull(address: string, round: number): Promise<void> {
    const body = `round ${round}`
    const header = { producerGroup: 'neighbour', topic: 'neighbours', defaultTopic: 'TBW102', defaultTopicQueueNums: 1, queueId: 0 }
    const send = { ...header, sysFlag: 0, bornTimestamp: 1, flag: 0 }
    const sent = expectSuccess(await this.#client.invoke(address, SendMessageV2, send, { body: Buffer.from(body), timeoutMs: TIMEOUT_MS }))
    const { queueOffset } = sent.header()
    const pull = {
      consumerGroup: 'neighbour',
      topic: 'neighbours',
      queueId: 0,
      queueOffset,
      maxMsgNums: 1,
      sysFlag: PULL_FLAG.SUBSCRIPTION,
    }
    const rest = { commitOffset: 0, suspendTimeoutMillis: 0, subVersion: 0n, subscription: '*' }
    const answer = expectSuccess(await this.#client.invoke(address, PullMessage, { ...pull, ...rest }, { timeoutMs: TIMEOUT_MS }))
    const [message] = decodeRecords(answer.body)
    const found = Buffer.from(message?.body ?? []).toString()
    if (found !== body) throw new Error(`sent ${body}, pulled ${found}`)
  }
}
