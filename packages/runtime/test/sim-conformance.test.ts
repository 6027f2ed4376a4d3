import { formatLine, simRuntime } from '@skylarkmq/runtime/sim'
import { clockConformance } from './conformance/clock.ts'
import { diskConformance } from './conformance/disk.ts'
import { logConformance } from './conformance/log.ts'
import { networkConformance } from './conformance/network.ts'
import { randomConformance } from './conformance/random.ts'

for (const seed of [1, 2, 3]) {
  const make = () => {
    const { world, ...runtime } = simRuntime(seed)
    return { ...runtime, world, wait: <T>(promise: Promise<T>) => world.until(promise), folder: '/data' }
  }
  const name = `simulated (seed ${seed})`
  clockConformance(name, make)
  diskConformance(name, () => {
    const harness = make()
    harness.disk.makeDirectory(harness.folder)
    return harness
  })
  networkConformance(name, make)
  randomConformance(name, () => make().random)
  logConformance(name, () => {
    const { log, world } = make()
    return { log, lines: () => world.lines.map(formatLine) }
  })
}
