import type { Disk, DiskFile } from '@skylarkmq/runtime'

/** A disk on which nothing changes: what is written is forgotten. So a store can be looked at by the code that would mend it. */
export function frozenDisk(disk: Disk): Disk {
  return {
    ...(disk.isSimulated === undefined ? {} : { isSimulated: disk.isSimulated }),
    open: (path) => frozenFile(path, disk.exists(path) ? disk.open(path, { readOnly: true }) : undefined),
    exists: (path) => disk.exists(path),
    list: (path) => disk.list(path),
    makeDirectory() {},
    rename() {},
    remove() {},
    async discard() {},
    stat: (path) => disk.stat(path),
    syncDirectory() {},
    async settleDirectory() {},
    space: (path) => disk.space(path),
    readText: (path) => disk.readText(path),
    writeTextAtomically() {},
  }
}

function frozenFile(path: string, file: DiskFile | undefined): DiskFile {
  return {
    path,
    write() {},
    readNow: (buffer, offset, length, position) => file?.readNow(buffer, offset, length, position) ?? 0,
    read: async (buffer, offset, length, position) => (await file?.read(buffer, offset, length, position)) ?? 0,
    async sync() {},
    syncNow() {},
    truncate() {},
    async shrink() {},
    async allocate() {},
    makeReady() {},
    sizeBytes: () => file?.sizeBytes() ?? 0,
    close: () => file?.close(),
  }
}
