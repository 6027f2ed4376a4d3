import { join } from 'node:path'
import type { Disk, Log } from '@skylarkmq/runtime'
import { utf8, viewOf } from '../bytes.ts'
import { checkedJson, withCheck } from '../checked-text.ts'
import { plausibleSize } from '../commit-log/record-check.ts'
import { describeError } from '../describe-error.ts'
import { topicRange } from '../dispatch/record-parser.ts'
import { parseFileName } from './compacted-file.ts'

const NAME_FILE = 'topic.json'
const DELETED = '.deleted'
const HEAD_BYTES = 4 * 1024 * 1024 + 65_536

export interface TopicFolder {
  readonly topic: string
  readonly path: string
}

/**
 * `skylark/compaction`: a numbered folder per compacted topic, in it `topic.json` (its name) and a folder per queue. It is no view: once
 * the commit log has expired, these files are all there is. A number is never given twice while its folder is there.
 */
export class CompactionFolders {
  readonly root: string
  private readonly disk: Disk
  private readonly log: Log
  private nextId = 0

  constructor(disk: Disk, log: Log, rootDirectory: string) {
    this.disk = disk
    this.log = log
    this.root = join(rootDirectory, 'skylark', 'compaction')
  }

  load(): TopicFolder[] {
    const found: TopicFolder[] = []
    for (const name of this.disk.list(this.root)) {
      const path = join(this.root, name)
      if (name.endsWith(DELETED)) {
        this.disk.remove(path)
        continue
      }
      if (!/^\d+$/.test(name)) continue
      this.nextId = Math.max(this.nextId, Number(name) + 1)
      const topic = this.nameIn(path)
      if (topic !== undefined && !found.some((folder) => folder.topic === topic)) found.push({ topic, path })
    }
    return found
  }

  private nameIn(path: string): string | undefined {
    try {
      const { topic } = JSON.parse(checkedJson(this.disk.readText(join(path, NAME_FILE)) ?? '') ?? '') as { topic?: unknown }
      if (typeof topic === 'string') return topic
    } catch {
      // Missing or damaged: the records know.
    }
    const topic = this.topicOfRecords(path)
    if (topic === undefined) {
      // Made by a process that died before it had a name, or empty anyway.
      if (this.isEmpty(path)) this.disk.remove(path)
      return undefined
    }
    this.log.error('a compacted topic had lost its name; it is taken from its messages', { path, topic })
    this.write(path, topic)
    return topic
  }

  private isEmpty(path: string): boolean {
    return this.disk.list(path).every((name) => this.disk.list(join(path, name)).length === 0)
  }

  private topicOfRecords(path: string): string | undefined {
    for (const queue of this.disk.list(path)) {
      for (const name of this.disk.list(join(path, queue))) {
        if (parseFileName(name) === undefined) continue
        const file = this.disk.open(join(path, queue, name), { readOnly: true })
        const bytes = new Uint8Array(Math.min(HEAD_BYTES, file.sizeBytes()))
        file.readNow(bytes, 0, bytes.length, 0)
        file.close()
        const view = viewOf(bytes)
        const range = bytes.length >= 8 && plausibleSize(view, 0, bytes.length) > 0 ? topicRange(bytes, view, 0) : undefined
        if (range !== undefined) return utf8.decode(bytes.subarray(range.start, range.end))
      }
    }
    return undefined
  }

  /** Durable when it returns. */
  add(topic: string): TopicFolder {
    const path = join(this.root, String(this.nextId++))
    this.disk.makeDirectory(path)
    this.write(path, topic)
    this.disk.syncDirectory(this.root)
    this.disk.syncDirectory(join(this.root, '..'))
    return { topic, path }
  }

  private write(path: string, topic: string): void {
    this.disk.writeTextAtomically(join(path, NAME_FILE), withCheck(JSON.stringify({ topic })))
  }

  /** The rename decides; the rest is tidied by the next start if need be. */
  remove(folder: TopicFolder): void {
    this.disk.rename(folder.path, folder.path + DELETED)
    this.disk.syncDirectory(this.root)
    const path = folder.path + DELETED
    this.disk.discard(path).catch((error: unknown) => {
      this.log.warn('a deleted compacted topic is not all removed; the next start goes on', { path, error: describeError(error) })
    })
  }
}
