import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { delayLevelOf, parseDelayLevels } from '../src/delay/delay-levels.ts'
import { DEFAULT_DELAY_LEVELS } from '../src/index.ts'
import { messagesIn, startScene, textOf } from './support.ts'
import type { Scene, TestClient } from './support.ts'

describe('delay levels', () => {
  test('are read as Apache writes them, and named when they cannot be', () => {
    const levels = parseDelayLevels(DEFAULT_DELAY_LEVELS)
    expect(levels).toHaveLength(18)
    expect([levels[0], levels[4], levels[17]]).toEqual([1000, 60_000, 7_200_000])
    expect(parseDelayLevels('2d')).toEqual([172_800_000])
    expect(() => parseDelayLevels('1s 5x')).toThrow('messageDelayLevel=1s 5x: "5x" is not a number with s, m, h or d')
  })

  test('above the highest mean the highest, below 1 none', () => {
    expect([delayLevelOf(undefined, 18), delayLevelOf('-1', 18), delayLevelOf('7', 18), delayLevelOf('99', 18)]).toEqual([0, 0, 7, 18])
    expect(delayLevelOf('1.5', 18)).toBeUndefined()
  })
})

describe('a delayed message', () => {
  let scene: Scene
  let client: TestClient
  beforeEach(async () => {
    scene = await startScene()
    client = scene.client('client')
  })
  afterEach(() => scene.close())

  const delivered = async (queueId = 0): Promise<string[]> => messagesIn(await client.pull('orders', { queueId })).map(textOf)

  test('comes neither early nor late, with its properties as they were stored', async () => {
    const sent = await client.send('orders', 'later', { queueId: 2 }, { DELAY: '2', TAGS: 'a' })
    expect(sent.header()).toMatchObject({ queueId: 2 })
    await scene.world.run(4_900)
    expect(await delivered(2)).toEqual([])
    await scene.world.run(200)
    const [message] = messagesIn(await client.pull('orders', { queueId: 2, subscription: 'a' }))
    expect(textOf(message!)).toBe('later')
    expect(Object.fromEntries(message!.properties)).toMatchObject({ DELAY: '2', REAL_TOPIC: 'orders', REAL_QID: '2', TAGS: 'a' })
  })

  test('of each level comes at its own time, and those of one level in the order they were sent', async () => {
    await client.send('orders', 'ten', {}, { DELAY: '3' })
    await client.send('orders', 'one-a', {}, { DELAY: '1' })
    await client.send('orders', 'five', {}, { DELAY: '2' })
    await client.send('orders', 'one-b', {}, { DELAY: '1' })
    await scene.world.run(1_500)
    expect(await delivered()).toEqual(['one-a', 'one-b'])
    await scene.world.run(10_000)
    expect(await delivered()).toEqual(['one-a', 'one-b', 'five', 'ten'])
  })

  test('of which hundreds are due at once all come, each once', async () => {
    const bodies = Array.from({ length: 300 }, (_, i) => `m${i}`)
    for (const body of bodies) await client.send('orders', body, {}, { DELAY: '3' })
    await scene.world.run(11_000)
    const got: string[] = []
    for (let offset = 0; ; ) {
      const answer = await client.pull('orders', { queueOffset: offset })
      if (answer.code !== 0) break
      got.push(...messagesIn(answer).map(textOf))
      offset = answer.header().nextBeginOffset
    }
    expect(got).toEqual(bodies)
  })

  test('outlives a restart: neither lost nor early nor twice', async () => {
    await client.send('orders', 'before', {}, { DELAY: '1' })
    await client.send('orders', 'across', {}, { DELAY: '2' })
    await client.send('orders', 'after', {}, { DELAY: '3' })
    await scene.world.run(1_500)
    await scene.restart()
    client = scene.client('client-2')
    expect(await delivered()).toEqual(['before'])
    await scene.world.run(2_000)
    expect(await delivered()).toEqual(['before'])
    await scene.world.run(2_000)
    expect(await delivered()).toEqual(['before', 'across'])
    await scene.world.run(5_000)
    expect(await delivered()).toEqual(['before', 'across', 'after'])
  })

  test('that fell due while the broker was down comes at its start', async () => {
    await client.send('orders', 'late', {}, { DELAY: '1' })
    await scene.world.until(scene.broker.close())
    await scene.world.run(60_000)
    await scene.restart()
    client = scene.client('client-2')
    await scene.world.run(100)
    expect(await delivered()).toEqual(['late'])
  })
})
