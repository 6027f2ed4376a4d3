import type { SimDisk } from '@skylarkmq/runtime/sim'
import { simRuntime } from '@skylarkmq/runtime/sim'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

const read = (disk: SimDisk, path: string): Buffer => {
  const file = disk.open(path, { readOnly: true })
  const bytes = Buffer.alloc(file.sizeBytes())
  file.readNow(bytes, 0, bytes.length, 0)
  file.close()
  return bytes
}

const writeText = (disk: SimDisk, path: string, text: string, position = 0) => {
  const file = disk.open(path, { create: true })
  const bytes = Buffer.from(text)
  file.write(bytes, 0, bytes.length, position)
  return file
}

describe('a crash of the simulated disk', () => {
  it('never loses or alters bytes that a sync covered, whatever else it does', async () => {
    const step = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({ kind: fc.constant('write' as const), position: fc.nat(3000), length: fc.integer({ min: 1, max: 2000 }) }),
      },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('sync' as const) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('truncate' as const), size: fc.nat(4000) }) },
    )
    await fc.assert(
      fc.asyncProperty(fc.integer(), fc.array(step, { maxLength: 20 }), async (seed, steps) => {
        const { disk, world } = simRuntime(seed)
        const file = disk.open('/log', { create: true })
        file.syncNow()
        let synced: Buffer = Buffer.alloc(0)
        /** Where writes since the last sync may have changed the file. */
        let touched: [number, number][] = []
        let fill = 1
        for (const each of steps) {
          if (each.kind === 'sync') {
            await world.until(file.sync())
            synced = read(disk, '/log')
            touched = []
          } else if (each.kind === 'truncate') {
            file.truncate(each.size)
            touched.push([each.size, Number.POSITIVE_INFINITY])
          } else {
            file.write(Buffer.alloc(each.length, fill++), 0, each.length, each.position)
            touched.push([each.position, each.position + each.length])
          }
        }
        disk.crash()
        const after = read(disk, '/log')
        for (let at = 0; at < synced.length; at++) {
          if (touched.some(([from, to]) => at >= from && at < to)) continue
          if (after[at] !== synced[at]) throw new Error(`byte ${at} was ${synced[at]}, and is ${after[at]} after the crash`)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('keeps, loses and tears unsynced writes, over enough seeds', () => {
    const fates = new Set<string>()
    for (let seed = 0; seed < 60; seed++) {
      const { disk } = simRuntime(seed)
      const file = disk.open('/log', { create: true })
      file.syncNow()
      file.write(Buffer.alloc(4096, 1), 0, 4096, 0)
      disk.crash()
      const kept = read(disk, '/log').filter((byte) => byte === 1).length
      fates.add(kept === 4096 ? 'kept' : kept === 0 ? 'lost' : 'torn')
    }
    expect([...fates].sort()).toEqual(['kept', 'lost', 'torn'])
  })

  it('kills open files, and what they had under way never comes back', async () => {
    const { disk, world } = simRuntime(1)
    const file = writeText(disk, '/log', 'x')
    let cameBack = false
    void file.sync().then(() => {
      cameBack = true
    })
    disk.crash()
    await world.run(1000)
    expect(cameBack).toBe(false)
    expect(() => file.write(Buffer.from('y'), 0, 1, 0)).toThrow('crashed')
  })

  it('takes back renames and removals until the folder is synced, and never after', () => {
    const seen = new Set<string>()
    for (let seed = 0; seed < 40; seed++) {
      const { disk } = simRuntime(seed)
      disk.writeTextAtomically('/data/a', 'a')
      disk.writeTextAtomically('/data/b', 'b')
      disk.rename('/data/a', '/data/c')
      disk.syncDirectory('/data')
      disk.remove('/data/b')
      disk.crash()
      expect(disk.readText('/data/c')).toBe('a')
      expect(disk.exists('/data/a')).toBe(false)
      seen.add(disk.readText('/data/b') ?? 'removed')
    }
    expect([...seen].sort()).toEqual(['b', 'removed'])
  })

  it('leaves a text that is replaced atomically either old or new', () => {
    const seen = new Set<string | undefined>()
    for (let seed = 0; seed < 40; seed++) {
      const { disk } = simRuntime(seed)
      disk.writeTextAtomically('/data/config', 'old')
      // The steps of a replacement, cut before the last sync.
      writeText(disk, '/data/config.tmp', 'new').syncNow()
      disk.rename('/data/config.tmp', '/data/config')
      disk.crash()
      seen.add(disk.readText('/data/config'))
    }
    expect([...seen].sort()).toEqual(['new', 'old'])
  })
})

describe('faults of the simulated disk', () => {
  it('fails a write beyond the capacity with ENOSPC, path and position, but not into reserved room', async () => {
    const { disk, world } = simRuntime(1)
    disk.setCapacity(200_000)
    const segment = disk.open('/segment', { create: true })
    await world.until(segment.allocate(150_000))
    expect(disk.space().freeBytes).toBe(50_000)
    const file = disk.open('/other', { create: true })
    expect(() => file.write(Buffer.alloc(100_000), 0, 100_000, 0)).toThrow(expect.objectContaining({ code: 'ENOSPC', path: '/other' }))
    segment.write(Buffer.alloc(150_000, 1), 0, 150_000, 0)
    await expect(world.until(segment.allocate(1_000_000))).rejects.toMatchObject({ code: 'ENOSPC' })
  })

  it('does not make good in a later sync what a failed one has lost', async () => {
    const fates = new Set<string>()
    for (let seed = 0; seed < 60; seed++) {
      const { disk, world } = simRuntime(seed)
      const file = disk.open('/log', { create: true })
      file.syncNow()
      file.write(Buffer.from('A'), 0, 1, 0)
      disk.failSyncs(1)
      await expect(world.until(file.sync())).rejects.toMatchObject({ code: 'EIO', path: '/log' })
      await world.until(file.sync())
      disk.crash()
      fates.add(read(disk, '/log').toString() === 'A' ? 'kept' : 'lost')
    }
    expect([...fates].sort()).toEqual(['kept', 'lost'])
  })

  it('fails only the calls and files that were ordered to', () => {
    const { disk } = simRuntime(1)
    disk.failWrites(1, 'EROFS', (path) => path.endsWith('.log'))
    writeText(disk, '/a.index', 'fine').close()
    expect(() => writeText(disk, '/a.log', 'x')).toThrow(expect.objectContaining({ code: 'EROFS' }))
    writeText(disk, '/a.log', 'x').close()
    disk.failReads(1)
    expect(() => read(disk, '/a.log')).toThrow(expect.objectContaining({ code: 'EIO' }))
  })

  it('flips exactly one bit, for good', () => {
    const { disk } = simRuntime(1)
    writeText(disk, '/log', 'abcdef').syncNow()
    disk.flipBit('/log')
    const bits = (bytes: Buffer): string => [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('')
    const differing = (): number => [...bits(read(disk, '/log'))].filter((bit, index) => bit !== bits(Buffer.from('abcdef'))[index]).length
    expect(differing()).toBe(1)
    disk.crash()
    expect(differing()).toBe(1)
  })

  it('keeps what a Buffer held at the time of the write, although its owner reuses it', () => {
    for (let seed = 0; seed < 20; seed++) {
      const { disk } = simRuntime(seed)
      const staging = Buffer.from('first')
      const file = disk.open('/log', { create: true })
      file.write(staging, 0, 5, 0)
      staging.fill('x')
      file.syncNow()
      disk.crash()
      expect(read(disk, '/log').toString()).toBe('first')
    }
  })
})
