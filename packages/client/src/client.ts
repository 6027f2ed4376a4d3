import type { ProducerCore } from './core/client-core.ts'
import type { AdminOptions } from './admin/admin-client.ts'
import type { ClientCore, ClientOptions, CloseOptions } from './core/types.ts'
import type { Producer, ProducerOptions } from './producer/types.ts'
import type { PullConsumerOptions } from './consumer/pull-consumer.ts'
import type { PushConsumerOptions } from './consumer/push-consumer.ts'
import { networkInterfaces } from 'node:os'
import { AdminClient } from './admin/admin-client.ts'
import { PullConsumer } from './consumer/pull-consumer.ts'
import { PushConsumer } from './consumer/push-consumer.ts'
import { createCore } from './core/client-core.ts'
import { newProducer } from './producer/producer.ts'

/** One per process and cluster is enough: connections, routes and heartbeats are shared by all that it makes. */
export class Client implements AsyncDisposable {
  /** For parts of this package. */
  readonly core: ClientCore
  readonly #core: ProducerCore

  constructor(core: ProducerCore) {
    this.core = core
    this.#core = core
  }

  get clientId(): string {
    return this.#core.clientId
  }

  producer(options: ProducerOptions): Producer {
    return newProducer({ core: this.#core, ownsCore: false }, options)
  }

  /** It joins its group with `start()`, or when a loop over its `messages()` begins. */
  pushConsumer<T = unknown>(options: PushConsumerOptions<T>): PushConsumer<T> {
    return new PushConsumer(this.#core, false, options)
  }

  pullConsumer(options: PullConsumerOptions): PullConsumer {
    return new PullConsumer(this.#core, false, options)
  }

  admin(options: AdminOptions = {}): AdminClient {
    return new AdminClient(this.#core, false, options)
  }

  /** Closes consumers, then producers, waiting up to `drainMs` for their work. Always resolves. */
  close(options: CloseOptions = {}): Promise<void> {
    return this.#core.close(options)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

async function newCore(options: ClientOptions): Promise<ProducerCore> {
  if (options.runtime) return createCore(options.runtime, options)
  const { nodeRuntime } = await import('@skylarkmq/runtime/node')
  return createCore(nodeRuntime(options.log ? { log: options.log } : {}), { clientIp: localAddress(), ...options })
}

/** Makes no connection: the first request does. */
export const createClient = async (options: ClientOptions): Promise<Client> => new Client(await newCore(options))

/** A producer on a client, or on one of its own that is closed with it. */
export async function createProducer(on: Client | ClientOptions, options: ProducerOptions): Promise<Producer> {
  if (on instanceof Client) return on.producer(options)
  return newProducer({ core: await newCore(on), ownsCore: true }, options)
}

/** A push consumer on a client, or on one of its own that is closed with it. */
export async function createPushConsumer<T = unknown>(
  on: Client | ClientOptions,
  options: PushConsumerOptions<T>,
): Promise<PushConsumer<T>> {
  if (on instanceof Client) return on.pushConsumer(options)
  return new PushConsumer(await newCore(on), true, options)
}

/** A pull consumer on a client, or on one of its own that is closed with it. */
export async function createPullConsumer(on: Client | ClientOptions, options: PullConsumerOptions): Promise<PullConsumer> {
  if (on instanceof Client) return on.pullConsumer(options)
  return new PullConsumer(await newCore(on), true, options)
}

export async function createAdmin(on: Client | ClientOptions, options: AdminOptions = {}): Promise<AdminClient> {
  if (on instanceof Client) return on.admin(options)
  return new AdminClient(await newCore(on), true, options)
}

/** The first address of this machine that others may see: IPv4 before IPv6. */
function localAddress(): string {
  const addresses = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter((address) => !address.internal)
  return (addresses.find((address) => address.family === 'IPv4') ?? addresses[0])?.address.replace(/%.*$/, '') ?? '127.0.0.1'
}
