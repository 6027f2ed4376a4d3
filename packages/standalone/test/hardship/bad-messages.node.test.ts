/** Batches and messages that lie about themselves, at a real broker. */
import { GetMaxOffset, PROPERTY, SendMessageV2 } from '@skylarkmq/remoting/protocol'
import { describe, expect, test } from 'vitest'
import { batchOf, raw, ILLEGAL, INVALID, says, send, sendBatch, stored, property } from './mistreated-broker.node.ts'

const lyingBatch = (position: number, value: number): Buffer => {
  const batch = batchOf([{ body: 'one' }, { body: 'two' }])
  if (position === 23) batch.writeInt16BE(value, position)
  else batch.writeInt32BE(value, position)
  return batch
}

describe('a batch', () => {
  test.each([
    ['a size of 0', lyingBatch(0, 0), ['message 1', 'size is 0']],
    ['a negative size', lyingBatch(0, -1), ['message 1', 'size is -1']],
    ['a size beyond its end', lyingBatch(25, 2_000_000_000), ['message 2', 'size is 2000000000']],
    ['a negative body length', lyingBatch(16, -5), ['message 1', 'body length is -5']],
    ['a body length beyond its message', lyingBatch(16, 1_000_000), ['message 1', 'body length is 1000000']],
    ['a negative properties length', lyingBatch(23, -1), ['message 1', 'properties length is -1']],
    ['a properties length beyond its message', lyingBatch(23, 32_000), ['message 1', 'properties length is 32000']],
    ['an end in the middle', batchOf([{ body: 'one' }, { body: 'two' }]).subarray(0, 30), ['message 2', '5 bytes']],
    ['no message', Buffer.alloc(0), ['body', 'empty']],
    ['an empty message', batchOf([{ body: 'one' }, { body: '' }]), ['message 2', 'empty']],
    ['a delayed message', batchOf([{ body: 'one', properties: property(['DELAY', '3']) }]), ['message 1', 'DELAY']],
    ['a half message', batchOf([{ body: 'one', properties: property(['TRAN_MSG', 'true']) }]), ['message 1', 'TRAN_MSG']],
    ['more than 65,536 messages', batchOf(Array.from({ length: 65_537 }, () => ({ body: 'x' }))), [65_537, 65_536]],
  ])('with %s is refused as a whole', async (_, body, parts) => {
    expect(await sendBatch('batches', body)).toMatchObject({ code: ILLEGAL, remark: says(...parts) })
    expect(await stored('batches')).toEqual([])
  })

  test('of 60,000 messages is stored in the time of one', async () => {
    const answer = await sendBatch('many', batchOf(Array.from({ length: 60_000 }, (_, i) => ({ body: `m${i}` }))))
    expect(answer).toMatchObject({ code: 0, ext: { queueOffset: '0' } })
    const end = await raw.ask({ code: GetMaxOffset.code, ext: { topic: 'many', queueId: '0' } })
    expect(end.ext).toMatchObject({ offset: '60000' })
  })

  test('that is told as a single message is one', async () => {
    const body = batchOf([{ body: 'one' }, { body: 'two' }])
    expect((await send('told-as-one', body)).code).toBe(0)
    expect((await stored('told-as-one')).map((message) => Buffer.from(message.body))).toEqual([body])
  })
})

describe('a message that lies about itself', () => {
  test.each([
    ['prepared', 0x4],
    ['commit', 0x8],
    ['rollback', 0xc],
    ['an IPv6 sender', 0x10],
    ['an IPv6 store', 0x20],
    ['an inner batch', 0x80],
    ['all bits', -1],
  ])('with the flag of %s is an ordinary message all the same', async (what, sysFlag) => {
    const topic = `flags-${what.replace(/\W/g, '-')}`
    expect((await send(topic, 'plain', { sysFlag: String(sysFlag) })).code).toBe(0)
    const [message] = await stored(topic)
    expect(message).toMatchObject({ topic, queueOffset: 0, bornHost: '127.0.0.1', storeHost: '127.0.0.1' })
    expect((message?.sysFlag ?? -1) & (0xc | 0x10 | 0x20 | 0x80)).toBe(0)
    expect(Buffer.from(message?.body ?? []).toString()).toBe('plain')
  })

  test('with properties that are the broker’s own: they are gone, the others stay', async () => {
    const own = [PROPERTY.POP_CK, PROPERTY.INNER_NUM, PROPERTY.INNER_BASE, PROPERTY.TRAN_PREPARED_QUEUE_OFFSET, PROPERTY.TIMER_OUT_MS]
    const properties = property(['mine', '1'], ...own.map((name) => [name, '0 9 60000 0 0 broker-a 0 0'] as const), [
      PROPERTY.CLUSTER,
      'not-ours',
    ])
    expect((await send('reserved', 'x', { properties })).code).toBe(0)
    const [message] = await stored('reserved')
    for (const name of own) expect(message?.properties.has(name), name).toBe(false)
    expect(message?.properties.get('mine')).toBe('1')
    expect(message?.properties.get(PROPERTY.CLUSTER)).toBe('DefaultCluster')
  })

  test.each([
    ['no separators', 'a text without any separator'],
    ['separators only', '\u0001\u0002\u0001\u0002'],
    ['a name without a value', 'name\u0001'],
    ['a value without a name', '\u0001value\u0002'],
    ['three parts', 'a\u0001b\u0001c\u0002'],
    ['JavaScript’s names', property(['__proto__', 'x'], ['constructor', 'y'])],
    ['half a character', 'k\u0001\ud800\u0002'],
    ['10,000 pairs', property(...Array.from({ length: 5000 }, (_, i) => [`${i % 10}`, ''] as const))],
  ])('with property text of %s is stored, and consumers can read it', async (what, properties) => {
    const topic = `properties-${what.replace(/\W/g, '-')}`
    expect((await send(topic, 'x', { properties })).code).toBe(0)
    const [message] = await stored(topic)
    expect(Buffer.from(message?.body ?? []).toString()).toBe('x')
    expect(message?.properties.get(PROPERTY.CLUSTER)).toBe('DefaultCluster')
  })

  test('with 40 kB of properties, or an empty or oversized body: the size and the limit', async () => {
    expect(await send('sizes', 'x', { properties: property(['big', 'v'.repeat(40_000)]) })).toMatchObject({
      code: ILLEGAL,
      remark: says('properties', 40_005, 32_767),
    })
    expect(await send('sizes', '')).toMatchObject({ code: ILLEGAL, remark: says('body', 'empty') })
    expect(await send('sizes', Buffer.alloc(4 * 1024 * 1024 + 1))).toMatchObject({
      code: ILLEGAL,
      remark: says(4_194_305, 'maxMessageSize=4194304'),
    })
    expect(await stored('sizes')).toEqual([])
  })

  test('with a body that is not compressed as it says: stored as it came, for consumers to judge', async () => {
    for (const sysFlag of [0x1, 0x1 | 0x100, 0x1 | 0x200, 0x1 | 0x300, 0x1 | 0x700]) {
      expect((await send('garbage', Buffer.from('this is not zlib'), { sysFlag: String(sysFlag) })).code).toBe(0)
    }
    expect((await stored('garbage')).map((message) => Buffer.from(message.body).toString())).toEqual(Array(5).fill('this is not zlib'))
  })

  test.each([
    ['soon', ['DELAY', 'soon']],
    ['1e3', ['DELAY', '1e3']],
    ['99999999999999999999', ['DELAY']],
  ])('with the delay level %j', async (level, parts) => {
    const answer = await send('delays', 'x', { properties: property(['DELAY', level]) })
    // A level beyond the last is the last one, as with Apache.
    if (answer.code !== 0) expect(answer).toMatchObject({ code: ILLEGAL, remark: says(...parts) })
    expect(await stored('delays')).toEqual([])
  })

  test('with numbers at the edge of what they can be', async () => {
    const edges = {
      queueId: '-2147483648',
      bornTimestamp: '-9007199254740991',
      flag: '-2147483648',
      reconsumeTimes: '2147483647',
      maxReconsumeTimes: '-1',
    }
    expect((await send('edges', 'x', edges)).code).toBe(0)
    expect(await send('edges', 'x', { queueId: '2147483647' })).toMatchObject({ code: INVALID, remark: says('queueId', 2_147_483_647) })
    const ext = {
      a: 'p',
      b: 'edges',
      c: 'TBW102',
      d: '2147483647',
      e: '0',
      f: '0',
      g: '1',
      h: '0',
      i: '',
      j: '-1',
      k: 'maybe',
      l: '0',
      m: 'no',
    }
    expect((await raw.ask({ code: SendMessageV2.code, ext, body: Buffer.from('x') })).code).toBe(0)
  })
})
