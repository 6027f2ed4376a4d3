import type { ClientCore, CloseOptions } from '../core/types.ts'
import { ClusterAdmin, NamesrvAdmin } from './cluster.ts'
import { GroupAdmin } from './groups.ts'
import { MessageAdmin } from './messages.ts'
import { ScheduledAdmin } from './scheduled.ts'
import type { AdminParts } from './targets.ts'
import { TopicAdmin } from './topics.ts'

export interface AdminOptions {
  /** One request. Default 5000. */
  readonly timeoutMs?: number
}

/** Apache's admin tools wait this long (RocketMQ 5.3 `DefaultMQAdminExt`). */
const DEFAULT_TIMEOUT_MS = 5000

/** Administration: looks at clusters and changes them. */
export class AdminClient implements AsyncDisposable {
  readonly topics: TopicAdmin
  readonly groups: GroupAdmin
  readonly messages: MessageAdmin
  readonly cluster: ClusterAdmin
  readonly namesrv: NamesrvAdmin
  readonly scheduled: ScheduledAdmin
  readonly #core: ClientCore
  readonly #ownsCore: boolean

  constructor(core: ClientCore, ownsCore: boolean, options: AdminOptions = {}) {
    const parts: AdminParts = { core, timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS }
    this.topics = new TopicAdmin(parts)
    this.groups = new GroupAdmin(parts)
    this.messages = new MessageAdmin(parts)
    this.cluster = new ClusterAdmin(parts)
    this.namesrv = new NamesrvAdmin(parts)
    this.scheduled = new ScheduledAdmin(parts)
    this.#core = core
    this.#ownsCore = ownsCore
  }

  /** Closes the client if it was made for this admin alone. Always resolves. */
  async close(options: CloseOptions = {}): Promise<void> {
    if (this.#ownsCore) await this.#core.close(options)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
