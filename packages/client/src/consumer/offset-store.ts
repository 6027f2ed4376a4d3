import type { MessageQueue } from '@skylarkmq/remoting/protocol'
import { pairsOf, parseFastjson, RocketError, stringifyFastjson } from '@skylarkmq/remoting/protocol'
import type { Clock, Disk, Log } from '@skylarkmq/runtime'
import type { BrokerCalls } from './broker-calls.ts'
import { queueKey } from './assigned-queue.ts'
import { within } from './wakeup.ts'

export type QueueOffset = readonly [queue: MessageQueue, offset: number]

/** Where a group's progress is kept. */
export interface OffsetStore {
  /** Undefined when there is none. Rejects when it cannot be known now. */
  read(queue: MessageQueue): Promise<number | undefined>
  /** Never rejects: what fails is tried again with the next round. With `timeoutMs`, resolves when the store has it (or time is up). */
  persist(offsets: readonly QueueOffset[], timeoutMs?: number): Promise<void>
}

/** Clustering: the broker keeps the group's offsets (RocketMQ `RemoteBrokerOffsetStore`). */
export function remoteOffsetStore(calls: BrokerCalls, clock: Clock, log: Log): OffsetStore {
  /** Brokers at which the last commit failed. */
  const troubled = new Set<string>()
  const commit = async (queue: MessageQueue, offset: number, timeoutMs: number | undefined): Promise<void> => {
    try {
      await calls.commitOffset(queue, offset, timeoutMs)
      troubled.delete(queue.brokerName)
    } catch (error) {
      if (troubled.has(queue.brokerName)) return
      troubled.add(queue.brokerName)
      log.warn('committing offsets at a broker fails; it is tried again every five seconds', {
        ...queue,
        offset,
        group: calls.group,
        error,
      })
    }
  }
  return {
    read: (queue) => calls.committedOffset(queue),
    persist: async (offsets, timeoutMs) => {
      const commits = Promise.all(offsets.map(([queue, offset]) => commit(queue, offset, timeoutMs)))
      if (timeoutMs === undefined) await commits
      else await within(clock, timeoutMs, commits)
    },
  }
}

/**
 * Reads a table keyed by queue in any of its forms: object keys (Java), the key object as text (Go's file), a list of
 * `{key, value}`, or a list of queues with an `offset` (what brokers write for C++).
 */
export function queueOffsets(table: unknown): [MessageQueue, number][] {
  const pairs: readonly (readonly [unknown, unknown])[] = Array.isArray(table)
    ? table.map((item) => {
        const fields = (item ?? {}) as Record<string, unknown>
        return 'key' in fields ? [fields.key, fields.value] : [fields, fields.offset]
      })
    : pairsOf(table)
  const result: [MessageQueue, number][] = []
  for (const [key, value] of pairs) {
    const fields = key as Partial<Record<string, unknown>> | undefined
    const queueId = Number(fields?.queueId)
    const offset = Number(value)
    if (typeof fields?.topic !== 'string' || typeof fields.brokerName !== 'string') continue
    if (Number.isSafeInteger(queueId) && Number.isSafeInteger(offset)) {
      result.push([{ topic: fields.topic, brokerName: fields.brokerName, queueId }, offset])
    }
  }
  return result
}

/** Broadcasting: a file of this member, in the shape of Apache's (RocketMQ `LocalFileOffsetStore`). Read once, on first use. */
export function localOffsetStore(disk: Disk, path: string, log: Log): OffsetStore {
  let table: Map<string, QueueOffset> | undefined

  const load = (): Map<string, QueueOffset> => {
    if (table) return table
    for (const file of [path, `${path}.bak`]) {
      const text = disk.readText(file)
      if (text === undefined || text.trim() === '') continue
      try {
        const body = parseFastjson(text) as { offsetTable?: unknown }
        table = new Map(queueOffsets(body.offsetTable).map((entry) => [queueKey(entry[0]), entry]))
        return table
      } catch (error) {
        log.warn('the file of offsets cannot be read; its backup is tried', { path: file, error })
      }
    }
    table = new Map()
    return table
  }

  return {
    read: async (queue) => {
      try {
        return load().get(queueKey(queue))?.[1]
      } catch (cause) {
        throw new RocketError(`the file of offsets ${path} cannot be read; check its permissions`, { code: 'BAD_ARGUMENT', cause })
      }
    },
    persist: async (offsets) => {
      try {
        const known = load()
        let isChanged = false
        for (const [queue, offset] of offsets) {
          const key = queueKey(queue)
          if (known.get(key)?.[1] === offset) continue
          known.set(key, [queue, offset])
          isChanged = true
        }
        if (!isChanged) return
        disk.makeDirectory(path.slice(0, path.lastIndexOf('/')))
        disk.writeTextAtomically(path, stringifyFastjson({ offsetTable: new Map(known.values()) }))
      } catch (error) {
        log.warn('writing the file of offsets failed', { path, error })
      }
    },
  }
}
