import type { Log } from '@skylarkmq/runtime'
import { describe, expect, it } from 'vitest'

/** `lines` gives what was written, one text per call, with sentence and fields somewhere in it. */
export const logConformance = (name: string, make: () => { log: Log; lines: () => string[] }): void => {
  describe(`${name} log`, () => {
    it('writes one line per call, with its level, sentence and fields', () => {
      const { log, lines } = make()
      log.info('topic created', { topic: 'orders', queues: 8 })
      log.warn('slow reader')
      log.error('write failed', { error: Object.assign(new Error('no space'), { code: 'ENOSPC' }) })
      expect(lines()).toHaveLength(3)
      const [first, second, third] = lines() as [string, string, string]
      for (const part of ['topic created', 'orders', '8']) expect(first).toContain(part)
      expect(first.toLowerCase()).toContain('info')
      expect(second.toLowerCase()).toContain('warn')
      expect(third.toLowerCase()).toContain('error')
      for (const part of ['no space', 'ENOSPC']) expect(third).toContain(part)
    })

    it('hands fields down to children, whose own win', () => {
      const { log, lines } = make()
      const child = log.child({ part: 'store', topic: 'none' }).child({ topic: 'orders' })
      child.info('recovered')
      expect(lines()[0]).toContain('store')
      expect(lines()[0]).toContain('orders')
      log.info('alone')
      expect(lines()[1]).not.toContain('store')
    })

    it('stays on one line and alive, whatever a field holds', () => {
      const { log, lines } = make()
      const circle: Record<string, unknown> = {}
      circle['self'] = circle
      log.info('odd fields', { text: 'two\nlines "quoted"', circle, big: 12n, nothing: undefined, none: null })
      expect(lines()).toHaveLength(1)
      expect(lines()[0]?.trimEnd()).not.toContain('\n')
    })
  })
}
