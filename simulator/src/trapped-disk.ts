import type { Disk, DiskFile } from '@skylarkmq/runtime'

/** What may happen to a node in the middle of one of its calls. */
export interface DiskHooks {
  /** Called before and after each write and sync. Throws to end the caller. */
  onWrite(path: string, moment: 'before' | 'after'): void
}

const DISK_WRITES: ReadonlySet<PropertyKey> = new Set(['rename', 'remove', 'syncDirectory', 'writeTextAtomically'] satisfies (keyof Disk)[])
const FILE_WRITES: ReadonlySet<PropertyKey> = new Set(['write', 'syncNow', 'truncate'] satisfies (keyof DiskFile)[])

/** A disk that tells of each write. */
export function trappedDisk(disk: Disk, hooks: DiskHooks): Disk {
  const open: Disk['open'] = (path, options) => trapped(disk.open(path, options), FILE_WRITES, () => path, hooks)
  return overlay(trapped(disk, DISK_WRITES, String, hooks), { open })
}

/** The object with something told before and after each of the calls named. `pathOf` knows the path from the first argument. */
function trapped<T extends object>(
  target: T,
  writes: ReadonlySet<PropertyKey>,
  pathOf: (argument: unknown) => string,
  hooks: DiskHooks,
): T {
  return new Proxy(target, {
    get(_, name) {
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== 'function') return member
      return (...args: unknown[]): unknown => {
        if (!writes.has(name)) return Reflect.apply(member, target, args)
        hooks.onWrite(pathOf(args[0]), 'before')
        const result: unknown = Reflect.apply(member, target, args)
        hooks.onWrite(pathOf(args[0]), 'after')
        return result
      }
    },
  })
}

/** The object with some of its members replaced. */
export function overlay<T extends object>(target: T, members: Partial<T>): T {
  return new Proxy(target, {
    get(_, name) {
      if (Object.hasOwn(members, name)) return Reflect.get(members, name)
      const member: unknown = Reflect.get(target, name)
      return typeof member === 'function' ? (...args: unknown[]): unknown => Reflect.apply(member, target, args) : member
    },
  })
}
