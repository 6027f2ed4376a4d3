import type { Clock, Log } from '@skylarkmq/runtime'
import { LIMITS } from '../limits.ts'

export type FindingKind =
  /** Members of one group do not subscribe to the same. */
  | 'subscriptions-differ'
  /** A queue has messages, a member owns it, and nobody pulls it. */
  | 'queue-not-pulled'
  /** A queue has messages, and no member of the group owns it. */
  | 'queue-unowned'
  /** A client was told this broker's address and has never connected to it. */
  | 'client-never-connected'
  /** This broker cannot reach itself at the address that clients are told. */
  | 'address-unreachable'

/** Something that a person should know of, as long as it lasts. */
export interface Finding {
  readonly kind: FindingKind
  readonly group?: string | undefined
  readonly topic?: string | undefined
  readonly queueId?: number | undefined
  readonly clientId?: string | undefined
  /** The client's address, or the one that it was told. */
  readonly address?: string | undefined
  /** What happened, with its values, and what to do. */
  readonly sentence: string
}

export interface OpenFinding extends Finding {
  readonly sinceMs: number
}

/** What is wrong now. Each episode is logged once when it begins and once when it ends; tools ask for the list (GET_GROUP_HEALTH). */
export class Findings {
  readonly #open = new Map<string, OpenFinding>()
  readonly #clock: Clock
  readonly #log: Log

  constructor(clock: Clock, log: Log) {
    this.#clock = clock
    this.#log = log
  }

  /** The same key again while it is open: its sentence is brought up to date, nothing is logged. */
  raise(key: string, finding: Finding): void {
    const old = this.#open.get(key)
    if (old === undefined && this.#open.size >= LIMITS.findings) return
    this.#open.set(key, { ...finding, sinceMs: old?.sinceMs ?? this.#clock.now() })
    if (old !== undefined) return
    const { sentence, ...fields } = finding
    this.#log.warn(sentence, fields)
  }

  clear(key: string): void {
    const old = this.#open.get(key)
    if (!this.#open.delete(key) || old === undefined) return
    const { sentence: was, sinceMs, ...fields } = old
    this.#log.info('over: what was reported does not hold any more', { ...fields, was, lastedMs: this.#clock.now() - sinceMs })
  }

  /** Clears those of a prefix that are not named any more. */
  clearOthers(prefix: string, keep: ReadonlySet<string>): void {
    for (const key of this.#open.keys()) if (key.startsWith(prefix) && !keep.has(key)) this.clear(key)
  }

  /** The open ones whose key begins so. */
  keys(prefix: string): string[] {
    return [...this.#open.keys()].filter((key) => key.startsWith(prefix))
  }

  has(key: string): boolean {
    return this.#open.has(key)
  }

  /** Of a group, together with what concerns all; without one, all. */
  list(group?: string): OpenFinding[] {
    const all = [...this.#open.values()]
    return group === undefined || group === '' ? all : all.filter((finding) => finding.group === undefined || finding.group === group)
  }
}
