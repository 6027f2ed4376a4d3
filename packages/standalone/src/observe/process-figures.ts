import { createHistogram, monitorEventLoopDelay } from 'node:perf_hooks'
import type { RecordableHistogram } from 'node:perf_hooks'
import type { Disk, DiskFile, Figure } from '@skylarkmq/runtime'

const QUANTILES = [0.5, 0.99, 0.999] as const
const NANOS = 1e9
const DELAY_RESOLUTION_MS = 20

/** What the process itself tells: how late the event loop is, how long fdatasync takes, memory, CPU. */
export class ProcessFigures {
  readonly #delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS })
  readonly #sync: RecordableHistogram

  constructor(sync: RecordableHistogram) {
    this.#sync = sync
    this.#delay.enable()
  }

  *figures(): Generator<Figure> {
    const { rss, heapUsed } = process.memoryUsage()
    const { user, system } = process.cpuUsage()
    yield { name: 'process_resident_memory_bytes', kind: 'gauge', help: 'memory of the process', value: rss }
    yield { name: 'nodejs_heap_size_used_bytes', kind: 'gauge', help: 'memory of JavaScript objects', value: heapUsed }
    yield { name: 'process_cpu_seconds_total', kind: 'counter', help: 'CPU of the process', value: (user + system) / 1e6 }
    for (const quantile of QUANTILES) {
      const labels = { quantile: String(quantile) }
      const late = Math.max(0, this.#delay.percentile(quantile * 100) / NANOS - DELAY_RESOLUTION_MS / 1000)
      const value = Number.isFinite(late) ? late : 0
      yield {
        name: 'skylark_event_loop_delay_seconds',
        kind: 'gauge',
        help: 'how late the event loop was since the last look',
        value,
        labels,
      }
    }
    for (const quantile of QUANTILES) {
      const value = this.#sync.count === 0 ? 0 : this.#sync.percentile(quantile * 100) / NANOS
      const labels = { quantile: String(quantile) }
      yield { name: 'skylark_fsync_seconds', kind: 'gauge', help: 'how long fdatasync took since the last look', value, labels }
    }
    this.#delay.reset()
    this.#sync.reset()
  }

  close(): void {
    this.#delay.disable()
  }
}

/** A disk whose fdatasyncs are timed. */
export function measuredDisk(disk: Disk): { readonly disk: Disk; readonly sync: RecordableHistogram } {
  const sync = createHistogram()
  const timed = (file: DiskFile): DiskFile => {
    const inner = file.sync.bind(file)
    file.sync = async () => {
      const began = process.hrtime.bigint()
      await inner()
      const tookNanos = process.hrtime.bigint() - began
      sync.record(tookNanos > 0n ? tookNanos : 1n)
    }
    return file
  }
  const measured: Disk = Object.create(disk, { open: { value: (...args: Parameters<Disk['open']>) => timed(disk.open(...args)) } })
  return { disk: measured, sync }
}
