import type { DiskFile } from '@skylarkmq/runtime'
import type { SimDisk } from '@skylarkmq/runtime/sim'

const CHANGES = new Set([
  'write',
  'truncate',
  'shrink',
  'allocate',
  'sync',
  'syncNow',
  'rename',
  'remove',
  'discard',
  'syncDirectory',
  'settleDirectory',
  'writeTextAtomically',
])

/**
 * A disk whose process dies right before its nth change of a file that `counts`, also in the middle of a turn: from then on no call
 * comes back. `onDeath` hears of it; the caller then kills or crashes the node.
 */
export function diesAt(
  disk: SimDisk,
  n: number,
  counts: (path: string) => boolean,
  onDeath: () => void,
): { disk: SimDisk; steps: () => number } {
  let steps = 0
  let isDead = false
  const guarded = <T extends object>(target: T, pathOf: (args: readonly unknown[]) => string): T =>
    new Proxy(target, {
      get(_, name) {
        const member: unknown = Reflect.get(target, name, target)
        if (typeof member !== 'function') return member
        return (...args: unknown[]): unknown => {
          if (CHANGES.has(String(name)) && counts(pathOf(args))) steps++
          if (steps >= n && !isDead) {
            isDead = true
            onDeath()
          }
          if (isDead) throw new Error('the process is dead')
          const result: unknown = member.apply(target, args)
          return name === 'open' ? guarded(result as DiskFile, () => (result as DiskFile).path) : result
        }
      },
    })
  return { disk: guarded(disk, (args) => String(args[0])), steps: () => steps }
}
