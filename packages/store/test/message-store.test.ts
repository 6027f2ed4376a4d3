import { decodeRecords } from '@skylarkmq/remoting/protocol'
import { describe, expect, test } from 'vitest'
import { Bench, message, properties } from './support/fixture.ts'

describe('a message that was stored', () => {
  test('comes back with every field as it was sent, and with the offsets that the sender was told', async () => {
    const bench = new Bench()
    await bench.open()
    const [result] = await bench.append(message({ text: 'first order', sysFlag: 0, properties: properties({ TAGS: 'new', KEYS: 'k1' }) }))
    expect(result).toMatchObject({ status: 'ok', physicalOffset: 0, queueOffset: 0 })

    const read = await bench.store.read({ topic: 'orders', queueId: 0, offset: 0, maxMessages: 32, maxBytes: 65_536 })
    expect(read).toMatchObject({ status: 'found', messageCount: 1, nextOffset: 1, minOffset: 0, maxOffset: 1 })
    const [record] = decodeRecords(Buffer.from(read.body))
    expect(record).toMatchObject({
      topic: 'orders',
      queueId: 0,
      queueOffset: 0,
      physicalOffset: 0,
      flag: 7,
      bornTimestamp: 1_700_000_000_000,
      bornHost: '10.0.0.1',
      bornPort: 12345,
      storeHost: '10.0.0.2',
      storePort: 10911,
      storeTimestamp: result?.storeTimestamp,
    })
    expect(Buffer.from(record?.body ?? []).toString()).toBe('first order')
    await bench.close()
  })

  test('is there after a clean stop, and after the process was killed', async () => {
    const bench = new Bench()
    await bench.open()
    await bench.append(message({ text: 'one' }), message({ text: 'two' }))
    await bench.close()
    await bench.open()
    expect(bench.store.recovery).toMatchObject({ cleanStop: true, recordsChecked: 0, cutAt: undefined })
    expect(await bench.readAll()).toEqual(['one', 'two'])
    const [third] = await bench.append(message({ text: 'three' }))
    expect(third?.queueOffset).toBe(2)
    bench.kill()
    await bench.open()
    expect(bench.store.recovery).toMatchObject({ cleanStop: false, cutAt: undefined })
    expect(await bench.readAll()).toEqual(['one', 'two', 'three'])
    await bench.close()
  })
})
