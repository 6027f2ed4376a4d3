import { decodeRecords } from '@skylarkmq/remoting/protocol'
import { describe, expect, test } from 'vitest'
import { Bench, message, ROOT } from './support/fixture.ts'

const SEGMENT = 4096
const name = (start: number) => `${ROOT}/commitlog/${String(start).padStart(20, '0')}`

function fileBytes(bench: Bench, path: string): Buffer {
  const file = bench.node.disk.open(path, { readOnly: true })
  const bytes = Buffer.alloc(file.sizeBytes())
  file.readNow(bytes, 0, bytes.length, 0)
  file.close()
  return bytes
}

describe('the log in the layout of Apache RocketMQ', () => {
  test('a record that leaves no room for the marker goes to the next segment; the marker names the rest of the file', async () => {
    const bench = new Bench(1, { segmentBytes: SEGMENT })
    await bench.open()
    // 91 fixed bytes and a topic of 6: two records of 2000 leave 96 bytes, which a third of 97 does not fit into.
    const big = message({ body: Buffer.alloc(2000 - 97, 'x') })
    const results = await bench.append(big, big, message({ body: Buffer.alloc(0) }))
    expect(results.map((result) => result.physicalOffset)).toEqual([0, 2000, SEGMENT])
    await bench.close()

    const first = fileBytes(bench, name(0))
    expect(first.length).toBe(SEGMENT)
    expect(first.readInt32BE(4000)).toBe(96)
    expect(first.readUInt32BE(4004)).toBe(0xcbd43194)
    expect(first.subarray(4008).every((byte) => byte === 0)).toBe(true)
    const second = fileBytes(bench, name(SEGMENT))
    expect(second.length).toBe(SEGMENT)
    expect(second.readInt32BE(0)).toBe(97)
    expect(second.subarray(97).every((byte) => byte === 0)).toBe(true)
  })

  test('a record that leaves exactly the eight bytes of the marker stays', async () => {
    const bench = new Bench(1, { segmentBytes: SEGMENT })
    await bench.open()
    const results = await bench.append(
      message({ body: Buffer.alloc(2000 - 97) }),
      message({ body: Buffer.alloc(SEGMENT - 8 - 2000 - 97) }),
      message(),
    )
    expect(results.map((result) => result.physicalOffset)).toEqual([0, 2000, SEGMENT])
    await bench.close()
    expect(fileBytes(bench, name(0)).readInt32BE(SEGMENT - 8)).toBe(8)
    await bench.open()
    expect((await bench.readAll()).length).toBe(3)
    await bench.close()
  })

  test('a batch never lies in two segments, and has consecutive offsets', async () => {
    const bench = new Bench(1, { segmentBytes: SEGMENT })
    await bench.open()
    await bench.append(message({ body: Buffer.alloc(2000) }))
    const third = message({ body: Buffer.alloc(900) })
    const result = await bench.batch([third, third, third])
    expect(result).toMatchObject({ status: 'ok', queueOffset: 1, physicalOffset: SEGMENT })
    expect(result.physicalOffsets).toEqual([SEGMENT, SEGMENT + 997, SEGMENT + 1994])
    expect(bench.store.maxOffset('orders', 0)).toBe(4)
    await bench.close()
  })

  test('a first segment that a full disk left short is completed: its length is no size that somebody chose', async () => {
    const bench = new Bench(1, { segmentBytes: SEGMENT })
    await bench.open()
    await bench.append(message({ text: 'early' }))
    bench.kill()
    const file = bench.node.disk.open(name(0))
    file.truncate(1000)
    file.close()
    for (const round of [1, 2]) {
      await bench.open()
      expect(bench.node.disk.stat(name(0))?.sizeBytes).toBe(SEGMENT)
      await bench.append(message({ body: Buffer.alloc(SEGMENT / 2, `${round}`) }), message({ body: Buffer.alloc(SEGMENT / 2, `${round}`) }))
      await bench.close()
    }
    await bench.open()
    expect((await bench.readAll()).map((text) => text.slice(0, 5))).toEqual(['early', '11111', '11111', '22222', '22222'])
    await bench.close()
  })

  test('the folder has what Apache expects while the store runs, and no abort file after a clean stop', async () => {
    const bench = new Bench(1, { segmentBytes: SEGMENT, processId: 4711 })
    await bench.open()
    await bench.append(message())
    await bench.sim.world.run(2_000)
    const disk = bench.node.disk
    expect(disk.readText(`${ROOT}/abort`)).toBe('4711')
    expect(disk.readText(`${ROOT}/lock`)).toBe('lock')
    expect(disk.stat(`${ROOT}/checkpoint`)?.sizeBytes).toBe(4096)
    for (const entry of disk.list(`${ROOT}/commitlog`)) expect(disk.stat(`${ROOT}/commitlog/${entry}`)?.sizeBytes).toBe(SEGMENT)
    await bench.close()
    expect(disk.exists(`${ROOT}/abort`)).toBe(false)
  })

  test.each([2 * SEGMENT, SEGMENT / 2])(
    'a log keeps the size of segments that it was begun with, whatever is configured (%i)',
    async (configured) => {
      const bench = new Bench(1, { segmentBytes: SEGMENT })
      await bench.open()
      for (let i = 0; i < 5; i++) await bench.append(message({ body: Buffer.alloc(2000) }))
      await bench.close()
      await bench.open({ segmentBytes: configured })
      expect(bench.store.recovery.text).toContain(`opens this one with mappedFileSizeCommitLog=${SEGMENT}`)
      for (let i = 0; i < 5; i++) await bench.append(message({ body: Buffer.alloc(2000) }))
      expect((await bench.readAll()).length).toBe(10)
      await bench.close()
      const { disk } = bench.node
      for (const entry of disk.list(`${ROOT}/commitlog`)) expect(disk.stat(`${ROOT}/commitlog/${entry}`)?.sizeBytes).toBe(SEGMENT)
      await bench.open({ segmentBytes: SEGMENT })
      expect(bench.store.recovery.notes).toEqual([])
      await bench.close()
    },
  )

  test('a first segment that a crash has left short, with nothing in it, binds nobody', async () => {
    const bench = new Bench(1, { segmentBytes: SEGMENT })
    const file = bench.node.disk.open(`${ROOT}/commitlog/00000000000000000000`, { create: true })
    file.truncate(1000)
    file.close()
    await bench.open()
    await bench.append(message())
    await bench.close()
    expect(bench.node.disk.stat(`${ROOT}/commitlog/00000000000000000000`)?.sizeBytes).toBe(SEGMENT)
  })

  test('a topic of more than 127 bytes makes a record of the second version; hosts may be IPv6', async () => {
    const bench = new Bench()
    await bench.open()
    const topic = `%RETRY%${'g'.repeat(200)}`
    const v6 = new Uint8Array(20).fill(1)
    const [result] = await bench.append(message({ topic, text: 'again', sysFlag: 0x30, bornHost: v6, storeHost: v6 }))
    const record = bench.store.readRecordAt(result?.physicalOffset ?? -1)
    expect(Buffer.from(record ?? []).readUInt32BE(4)).toBe(0xdaa320ab)
    const [decoded] = decodeRecords(Buffer.from(record ?? []))
    expect(decoded).toMatchObject({ topic, sysFlag: 0x30 })
    expect(bench.store.storeTimestamp(topic, 0, 0)).toBe(result?.storeTimestamp)
    await bench.close()
  })

  test('prepared and rolled back messages are in the log, have queue offset 0 and are in no queue', async () => {
    const bench = new Bench()
    await bench.open()
    const results = await bench.append(message(), message({ sysFlag: 0x4 }), message({ sysFlag: 0xc }), message({ sysFlag: 0x8 }))
    expect(results.map((result) => result.queueOffset)).toEqual([0, 0, 0, 1])
    expect(bench.store.maxOffset('orders', 0)).toBe(2)
    expect(bench.store.readRecordAt(results[1]?.physicalOffset ?? -1)).toBeDefined()
    await bench.close()
  })
})

describe('what cannot be stored', () => {
  test.each([
    ['a body over the limit', { body: Buffer.alloc(4097) }, /4097 bytes, maxMessageSize is 4096/],
    ['properties over 32767 bytes', { properties: Buffer.alloc(32_768) }, /32768 bytes/],
    ['an empty topic', { topic: '' }, /topic is empty/],
    ['a topic of 256 bytes', { topic: 'u'.repeat(256) }, /256 bytes/],
    ['a topic with a NUL', { topic: 'a\u0000b' }, /printable ASCII/],
    ['a topic beyond ASCII', { topic: 'größe' }, /printable ASCII/],
    ['a negative queue', { queueId: -1 }, /queueId -1/],
    ['an IPv4 host with the IPv6 flag', { sysFlag: 0x10 }, /born host has 8 bytes/],
  ])('%s is refused with a reason, and costs nobody else anything', async (_what, overrides, reason) => {
    const bench = new Bench()
    await bench.open()
    const results = await bench.append(message({ text: 'before' }), message(overrides), message({ text: 'after' }))
    expect(results.map((result) => result.status)).toEqual(['ok', 'message-illegal', 'ok'])
    expect(results[1]?.reason).toMatch(reason)
    expect(await bench.readAll()).toEqual(['before', 'after'])
    await bench.close()
  })

  test('a batch over two queues, an empty batch and a batch larger than a segment', async () => {
    const bench = new Bench(1, { segmentBytes: SEGMENT })
    await bench.open()
    expect((await bench.batch([])).status).toBe('message-illegal')
    expect((await bench.batch([message(), message({ queueId: 1 })])).status).toBe('message-illegal')
    expect((await bench.batch([message({ body: Buffer.alloc(2000) }), message({ body: Buffer.alloc(2000) })])).status).toBe(
      'message-illegal',
    )
    expect((await bench.append(message()))[0]?.physicalOffset).toBe(0)
    await bench.close()
  })

  test('no callback comes from inside append', async () => {
    const bench = new Bench()
    await bench.open()
    let inside = true
    const seen: boolean[] = []
    bench.store.append(message(), false, () => seen.push(inside))
    bench.store.append(message({ topic: '' }), false, () => seen.push(inside))
    for (let i = 0; i < 200; i++) bench.store.append(message({ body: Buffer.alloc(4000) }), false, () => seen.push(inside))
    inside = false
    await bench.sim.world.run(10)
    expect(seen.length).toBe(202)
    expect(seen).not.toContain(true)
    await bench.close()
    let late = ''
    bench.store.append(message(), false, (result) => {
      late = result.status
    })
    await bench.sim.world.run(10)
    expect(late).toBe('not-available')
  })
})
