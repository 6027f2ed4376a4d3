import type { Outcome } from '@skylarkmq/client'
import type { Disk } from '@skylarkmq/runtime'
import type { TimerIndex } from '@skylarkmq/store'
import { overlay } from '../src/trapped-disk.ts'
import { describe, expect, it } from 'vitest'
import type { Plants } from '../src/cluster.ts'
import { bodyOf, idIn } from '../src/payload.ts'
import type { Outcome as RunOutcome } from '../src/run.ts'
import { simulate } from '../src/run.ts'
import type { Scenario } from '../src/scenario.ts'
import { scenarioOf } from '../src/scenario.ts'
import type { WorkloadPlan } from '../src/workload.ts'
import type { Extra } from '../src/workloads/extras.ts'

/** A small cluster without faults of its own, in which only what is planted goes wrong. */
function run(
  plants: Plants,
  changes: Partial<Omit<Scenario, 'cluster'>> & {
    readonly flush?: 'sync' | 'async'
    readonly segmentBytes?: number
    readonly retentionBytes?: number
  } = {},
): Promise<RunOutcome> {
  const { cluster, ...scenario } = scenarioOf(7, { profile: 'calm', plants })
  const { flush = 'sync', segmentBytes = cluster.segmentBytes, retentionBytes, ...others } = changes
  return simulate({
    ...scenario,
    cluster: { ...cluster, brokers: 1, namesrvs: 1, flush, segmentBytes, ...(retentionBytes === undefined ? {} : { retentionBytes }) },
    workload: { producers: 2, membersPerGroup: 2, pauseMs: 300, hasAdmin: false },
    faults: { 'clock-jump': 1 },
    faultPauseMs: 1000,
    troubleMs: 15_000,
    ...others,
  })
}

const beside = (extra: Extra): WorkloadPlan => ({ producers: 1, membersPerGroup: 1, pauseMs: 1000, hasAdmin: false, extras: [extra] })

const found = ({ violations }: RunOutcome): string[] => [...new Set(violations.map(({ checker }) => checker))]

describe('each checker sees what it is there for', { timeout: 300_000 }, () => {
  it('none of them complains when nothing is planted', async () => {
    expect((await run({})).violations).toEqual([])
  })

  it('no-acked-loss: a disk says that it has synced, and has not', async () => {
    const lie = (disk: Disk): Disk =>
      overlay(disk, {
        open: (path, options) => {
          const file = disk.open(path, options)
          return path.includes('/commitlog/') ? overlay(file, { sync: async () => {}, syncNow: () => {} }) : file
        },
      })
    expect(found(await run({ disk: lie }, { faults: { 'power-loss': 1 }, faultPauseMs: 3000 }))).toContain('no-acked-loss')
  })

  it('payload-unaltered: a byte changes on the way to the handler', async () => {
    const alter = (body: Uint8Array, queueOffset: number): Uint8Array => {
      const copy = Uint8Array.from(body)
      if (queueOffset === 4) copy[copy.length - 1] = ((copy.at(-1) as number) + 1) & 0xff
      return copy
    }
    expect(found(await run({ received: alter }))).toEqual(['payload-unaltered'])
  })

  it('no-invented: a handler gets a message that nobody has sent', async () => {
    const invent = (body: Uint8Array, queueOffset: number): Uint8Array => (queueOffset === 4 ? bodyOf(`ghost-${idIn(body)}`) : body)
    expect(found(await run({ received: invent }))).toContain('no-invented')
  })

  it('queue-order and locks: a group that should consume in order does not', async () => {
    expect(found(await run({ forgetsOrder: true }))).toEqual(['queue-order', 'locks'])
  })

  it('every-message-ends and offsets: a message is counted as consumed that no handler has seen', async () => {
    const skip = (body: Uint8Array, queueOffset: number): Uint8Array | undefined => (queueOffset === 4 ? undefined : body)
    expect(found(await run({ received: skip }))).toEqual(['every-message-ends', 'offsets'])
  })

  it('offsets: a committed offset goes back', async () => {
    let saves = 0
    const goBack = (table: string, _key: string, value: string): string => {
      if (table !== 'offsets' || ++saves % 5 !== 0) return value
      const lower = Object.entries(JSON.parse(value) as Record<string, number>).map(([queueId, offset]) => [queueId, offset >> 1])
      return JSON.stringify(Object.fromEntries(lower))
    }
    // Longer than what follows a handing over of queues.
    const outcome = await run({ metadata: goBack }, { troubleMs: 100_000, faultPauseMs: 5000 })
    expect(outcome.violations.filter(({ sentence }) => sentence.includes('went back')).length).toBeGreaterThan(0)
    expect(found(outcome)).toEqual(['offsets'])
  })

  it('timers: scheduled messages come ten seconds early, and recalls find nothing', async () => {
    const early = (index: TimerIndex): TimerIndex =>
      overlay(index, {
        range: (afterMs, afterOrigin, toMs, limit) => index.range(afterMs, afterOrigin, toMs + 10_000, limit),
        nextDueMs: (afterMs, afterOrigin) => (index.nextDueMs(afterMs, afterOrigin) ?? Number.POSITIVE_INFINITY) - 10_000,
        find: () => [],
      })
    const outcome = await run({ timerIndex: early }, { workload: beside('timers'), faults: { consumer: 1 } })
    expect(found(outcome)).toEqual(['timers'])
    const sentences = outcome.violations.map(({ sentence }) => sentence).join()
    expect(sentences).toMatch(/ms before its time/)
    expect(sentences).toMatch(/came although broker-a had said that it was taken back/)
  })

  it('transactions: what was rolled back is committed, and what was committed is never said to be', async () => {
    const twist = (outcome: Outcome): Outcome => (outcome === 'rollback' ? 'commit' : 'unknown')
    const outcome = await run({ tells: twist }, { workload: beside('transactions') })
    expect(found(outcome)).toEqual(['every-message-ends', 'transactions'])
    const sentences = outcome.violations.map(({ sentence }) => sentence).join()
    expect(sentences).toMatch(/came, and its transaction had been rolled back/)
    expect(sentences).toMatch(/never came, and its transaction had been committed; it still waits/)
  })

  it('pops: a message is handed out again after it was acknowledged', async () => {
    const outcome = await run({ forgetsAcks: true }, { workload: beside('pops'), faults: { consumer: 1 } })
    expect(found(outcome)).toEqual(['pops'])
    expect(outcome.violations[0]?.sentence).toMatch(/^popper-\d got job-\d+ from broker-a at \d+ ms, and popper-\d had acknowledged it/)
  })

  it('compaction: the last message of a key goes', async () => {
    const outcome = await run({ oneArticle: true }, { workload: beside('compaction') })
    expect(found(outcome)).toContain('compaction')
  })

  it('retention: a log loses files that its limit lets it keep', async () => {
    const workload = { producers: 2, membersPerGroup: 1, pauseMs: 100, hasAdmin: false }
    const limits = { workload, segmentBytes: 32 * 1024, troubleMs: 20_000 }
    expect(found(await run({ toldRetentionBytes: 32 * 1024 }, { ...limits, retentionBytes: 1024 * 1024 }))).toEqual(['retention'])
    expect((await run({}, { ...limits, retentionBytes: 32 * 1024 })).violations).toEqual([])
  })

  it('rebalance: two members each take all queues', async () => {
    expect(found(await run({ allocation: { name: 'GREEDY', allocate: ({ queues }) => [...queues] } }))).toContain('rebalance')
  })

  it('views-equal-log: a store does not write down that a topic was deleted', async () => {
    const forget = (disk: Disk): Disk =>
      overlay(disk, {
        writeTextAtomically: (path, text) => {
          if (!path.endsWith('deleted-topics.json')) disk.writeTextAtomically(path, text)
        },
      })
    const workload = { producers: 1, membersPerGroup: 1, pauseMs: 1000, hasAdmin: true }
    expect(found(await run({ disk: forget }, { workload, troubleMs: 30_000 }))).toContain('views-equal-log')
  })

  it('nothing-stuck: a broker whose disk is broken does not come up again', async () => {
    const broken = (disk: Disk, life: number): Disk =>
      overlay(disk, {
        open: (path, options) => {
          if (life > 1 && path.includes('/commitlog/')) throw new Error('EIO: the disk is broken')
          return disk.open(path, options)
        },
      })
    const outcome = await run({ disk: broken }, { faults: { kill: 1 }, faultPauseMs: 3000 })
    expect(outcome.violations.map(({ sentence }) => sentence)).toContain('broker-a did not come up again: EIO: the disk is broken')
  })
})
