/** `skylark store …` as an operator meets it: on the folder of a broker that is stopped, and of one that is not. */
import { spawnSync } from 'node:child_process'
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLog } from '@skylarkmq/runtime'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { openMessageStore } from '@skylarkmq/store'
import type { AppendResult, CheckReport, MessageStore } from '@skylarkmq/store'
import { afterAll, expect, test } from 'vitest'

const folder = mkdtempSync(join(tmpdir(), 'skylark-store-command-'))
afterAll(() => rmSync(folder, { recursive: true }))
const LAUNCHER = ['--conditions=source', '--import', 'tsx', join(import.meta.dirname, '../bin/skylark.cjs'), 'store']
const HOST = new Uint8Array([127, 0, 0, 1, 0, 0, 4, 210])

function skylark(...args: string[]): { code: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...LAUNCHER, ...args], { encoding: 'utf8', timeout: 60_000 })
  return { code: status, stdout, stderr }
}

const open = (rootDirectory: string): Promise<MessageStore> =>
  openMessageStore(nodeRuntime({ log: silentLog }), {
    ...{ rootDirectory, segmentBytes: 65_536, flush: 'async', maxMessageBytes: 4096 },
    ...{ delayLevelsMs: [1_000], fileReservedHours: 72, deleteWhenHours: [4] },
  })

const append = (store: MessageStore, text: string): Promise<AppendResult> =>
  new Promise((resolve) => {
    const common = {
      flag: 0,
      sysFlag: 0,
      bornTimestamp: 1,
      bornHost: HOST,
      storeHost: HOST,
      reconsumeTimes: 0,
      preparedTransactionOffset: 0,
    }
    store.append(
      { ...common, topic: 'orders', queueId: 0, body: Buffer.from(text), properties: Buffer.from('KEYS\u0001k\u0002') },
      false,
      resolve,
    )
  })

test('a store that runs is left alone, a sound one is found sound, a damaged one is told of, salvaged, and handed over', async () => {
  const directory = join(folder, 'store')
  const store = await open(directory)
  const offsets: number[] = []
  for (let i = 0; i < 20; i++) offsets.push((await append(store, `text ${i}`)).physicalOffset)
  const busy = skylark('check', directory)
  expect([busy.code, busy.stdout]).toEqual([1, ''])
  expect(busy.stderr).toContain(`is in use by process ${process.pid}`)
  await store.close()

  const sound = skylark('check', directory)
  expect(sound.stdout).toContain('Nothing is wrong.')
  expect(sound.code).toBe(0)

  const log = openSync(join(directory, 'commitlog/00000000000000000000'), 'r+')
  writeSync(log, Buffer.from('T'), 0, 1, readFileSync(join(directory, 'commitlog/00000000000000000000')).indexOf('text 7'))
  closeSync(log)
  const damaged = skylark('check', directory, '--json')
  expect(damaged.code).toBe(1)
  const report = JSON.parse(damaged.stdout) as CheckReport
  expect(report.damaged).toMatchObject([{ offset: offsets[7], why: 'CRC of the body does not match' }])
  expect(report.lost).toEqual([{ topic: 'orders', queueId: 0, from: 7, to: 8 }])

  const salvaged = skylark('salvage', directory)
  expect([salvaged.code, salvaged.stdout]).toEqual([0, expect.stringContaining('are kept in')])
  expect(skylark('check', directory).stdout).toContain('Nothing is wrong.')
  const again = await open(directory)
  expect(again.maxOffset('orders', 0)).toBe(20)
  await again.close()

  expect(skylark('report', directory).stdout).toContain('derived anew from the log')
  expect(skylark('export-config', directory).code).toBe(0)
  expect(existsSync(join(directory, 'config/topics.json'))).toBe(true)
})

test('what is asked for wrongly is said', () => {
  expect(skylark('check', join(folder, 'nowhere'))).toMatchObject({ code: 2, stderr: expect.stringContaining('there is no folder') })
  expect(skylark('mend', folder)).toMatchObject({ code: 2, stderr: expect.stringContaining('check, report, salvage and export-config') })
  expect(skylark('check', folder)).toMatchObject({ code: 1, stderr: expect.stringContaining('There is no commit log in') })
})
