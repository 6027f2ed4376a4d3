import type { ClusterInfo } from '@skylarkmq/remoting/protocol'
import { expectSuccess } from '@skylarkmq/remoting'
import {
  AddWritePermOfBroker,
  DeleteKvConfig,
  GetBrokerConfig,
  GetBrokerRuntimeInfo,
  GetKvConfig,
  GetKvlistByNamespace,
  GetNamesrvConfig,
  PutKvConfig,
  ResponseCode,
  UpdateBrokerConfig,
  UpdateNamesrvConfig,
  WipeWritePermOfBroker,
  decodeKVTable,
} from '@skylarkmq/remoting/protocol'
import type { AdminParts, BrokerTarget } from './targets.ts'
import { atEach, brokersOf, clusterInfo } from './targets.ts'

type Table = Readonly<Record<string, string>>

export class ClusterAdmin {
  readonly #parts: AdminParts

  constructor(parts: AdminParts) {
    this.#parts = parts
  }

  info(): Promise<ClusterInfo> {
    return clusterInfo(this.#parts)
  }

  /** Every broker, replicas included, by cluster and name. */
  async brokers(): Promise<readonly BrokerTarget[]> {
    return brokersOf(await clusterInfo(this.#parts))
  }

  /** Counters and state of one broker. */
  async runtimeInfo(address: string): Promise<Table> {
    const { core, timeoutMs } = this.#parts
    return { ...decodeKVTable(expectSuccess(await core.invoke(address, GetBrokerRuntimeInfo, {}, { timeoutMs })).body).table }
  }

  async brokerConfig(address: string): Promise<Table> {
    const { core, timeoutMs } = this.#parts
    return propertiesOf(expectSuccess(await core.invoke(address, GetBrokerConfig, {}, { timeoutMs })).body)
  }

  async updateBrokerConfig(address: string, values: Table): Promise<void> {
    const { core, timeoutMs } = this.#parts
    expectSuccess(await core.invoke(address, UpdateBrokerConfig, {}, { body: propertiesText(values), timeoutMs }))
  }
}

/** What is written goes to every NameServer, as they do not know each other. */
export class NamesrvAdmin {
  readonly #parts: AdminParts

  constructor(parts: AdminParts) {
    this.#parts = parts
  }

  get addresses(): readonly string[] {
    return this.#parts.core.namesrvAddresses
  }

  async putKv(namespace: string, key: string, value: string): Promise<void> {
    const { core, timeoutMs } = this.#parts
    await this.#atAll(`setting ${namespace}/${key}`, async (address) => {
      expectSuccess(await core.invoke(address, PutKvConfig, { namespace, key, value }, { timeoutMs }))
    })
  }

  /** Undefined when there is none. */
  async getKv(namespace: string, key: string): Promise<string | undefined> {
    const answer = await this.#parts.core.invokeNamesrv(GetKvConfig, { namespace, key }, { timeoutMs: this.#parts.timeoutMs })
    return answer.code === ResponseCode.QUERY_NOT_FOUND ? undefined : expectSuccess(answer).header().value
  }

  async deleteKv(namespace: string, key: string): Promise<void> {
    const { core, timeoutMs } = this.#parts
    await this.#atAll(`deleting ${namespace}/${key}`, async (address) => {
      expectSuccess(await core.invoke(address, DeleteKvConfig, { namespace, key }, { timeoutMs }))
    })
  }

  /** Empty when the namespace does not exist. */
  async kvList(namespace: string): Promise<Table> {
    const answer = await this.#parts.core.invokeNamesrv(GetKvlistByNamespace, { namespace }, { timeoutMs: this.#parts.timeoutMs })
    return answer.code === ResponseCode.QUERY_NOT_FOUND ? {} : { ...decodeKVTable(expectSuccess(answer).body).table }
  }

  /** Takes the write permission from every topic of a broker. Returns the number of topics at each NameServer. */
  async wipeWritePerm(brokerName: string): Promise<readonly number[]> {
    const { core, timeoutMs } = this.#parts
    return this.#atAll(`wiping the write permission of ${brokerName}`, async (address) => {
      return expectSuccess(await core.invoke(address, WipeWritePermOfBroker, { brokerName }, { timeoutMs })).header().wipeTopicCount
    })
  }

  async addWritePerm(brokerName: string): Promise<readonly number[]> {
    const { core, timeoutMs } = this.#parts
    return this.#atAll(`adding the write permission of ${brokerName}`, async (address) => {
      return expectSuccess(await core.invoke(address, AddWritePermOfBroker, { brokerName }, { timeoutMs })).header().addTopicCount
    })
  }

  /** By NameServer address. */
  async config(): Promise<Readonly<Record<string, Table>>> {
    const { core, timeoutMs } = this.#parts
    const configs = await this.#atAll('reading the settings of the NameServers', async (address) => [
      address,
      propertiesOf(expectSuccess(await core.invoke(address, GetNamesrvConfig, {}, { timeoutMs })).body),
    ])
    return Object.fromEntries(configs)
  }

  async updateConfig(values: Table): Promise<void> {
    const { core, timeoutMs } = this.#parts
    const body = propertiesText(values)
    await this.#atAll('changing the settings of the NameServers', async (address) => {
      expectSuccess(await core.invoke(address, UpdateNamesrvConfig, {}, { body, timeoutMs }))
    })
  }

  #atAll<T>(what: string, task: (address: string) => Promise<T>): Promise<readonly T[]> {
    return atEach(
      what,
      this.addresses.map((address) => ({ address })),
      ({ address }) => task(address),
    )
  }
}

const propertiesText = (values: Table): Buffer =>
  Buffer.from(
    Object.entries(values)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
    'utf8',
  )

/** `name=value` lines (RocketMQ 5.3 `MixAll#properties2String`). */
function propertiesOf(body: Uint8Array): Table {
  const table: Record<string, string> = {}
  for (const line of Buffer.from(body).toString('utf8').split('\n')) {
    const at = line.indexOf('=')
    if (at > 0) table[line.slice(0, at).trim()] = line.slice(at + 1).trim()
  }
  return table
}
