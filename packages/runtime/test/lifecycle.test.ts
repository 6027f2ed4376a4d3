import { Lifecycle, silentLog } from '@skylarkmq/runtime'
import { describe, expect, it } from 'vitest'

const world = () => {
  const events: string[] = []
  const life = new Lifecycle(silentLog)
  const part = (name: string, failure?: { start?: Error; stop?: Error }) =>
    life.start(
      name,
      async () => {
        await Promise.resolve()
        if (failure?.start) throw failure.start
        events.push(`+${name}`)
        return name
      },
      async (started) => {
        await Promise.resolve()
        events.push(`-${started}`)
        if (failure?.stop) throw failure.stop
      },
    )
  return { life, part, events }
}

describe('Lifecycle', () => {
  it('stops in reverse, each part awaited, once however often it is asked', async () => {
    const { life, part, events } = world()
    expect(await part('store')).toBe('store')
    await part('server')
    await Promise.all([life.stop(), life.stop()])
    expect(events).toEqual(['+store', '+server', '-server', '-store'])
  })

  it('stops what had started when a part fails to start, and throws that failure', async () => {
    const { part, events } = world()
    await part('store')
    const failure = new Error('port in use')
    await expect(part('server', { start: failure })).rejects.toBe(failure)
    expect(events).toEqual(['+store', '-store'])
  })

  it('goes on stopping past failures, and tells all of them', async () => {
    const { life, part, events } = world()
    const [first, third] = [new Error('first'), new Error('third')]
    await part('a', { stop: first })
    await part('b')
    await part('c', { stop: third })
    await expect(life.stop()).rejects.toMatchObject({ errors: [third, first] })
    expect(events.slice(3)).toEqual(['-c', '-b', '-a'])
  })

  it('leaves nothing running when the stop comes while a part is starting', async () => {
    const { life, part, events } = world()
    const starting = part('slow')
    const stopping = life.stop()
    await expect(starting).rejects.toThrow('stopped while it started')
    await stopping
    expect(events).toEqual(['+slow', '-slow'])
  })
})
