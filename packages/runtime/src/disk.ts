/**
 * Files, handed in. All paths are absolute or relative to the process; separators are the platform's.
 * Every failure is an `Error` with Node's `code` (ENOENT, ENOSPC, EIO, …) and a `path`.
 */
export interface Disk {
  /** Set on a disk in memory: no other process can have it, and native code (SQLite) cannot find its files. */
  readonly isSimulated?: boolean
  /** Opens a file for reading and (unless `readOnly`) writing. With `create` it is made when missing, its folders too. */
  open(path: string, options?: { readonly create?: boolean; readonly readOnly?: boolean }): DiskFile
  exists(path: string): boolean
  /** Names in a folder, sorted; empty when the folder is missing. */
  list(path: string): string[]
  makeDirectory(path: string): void
  /** Atomic within one file system. */
  rename(from: string, to: string): void
  /** Removes a file, or a folder with all in it. Missing is fine. */
  remove(path: string): void
  /** As `remove`, off the main thread, which 16 MiB would hold up for 7 ms. */
  discard(path: string): Promise<void>
  stat(path: string): { readonly sizeBytes: number; readonly modifiedMs: number; readonly isDirectory: boolean } | undefined
  /** Makes renames and removals in a folder durable. */
  syncDirectory(path: string): void
  /** As `syncDirectory`, off the main thread. */
  settleDirectory(path: string): Promise<void>
  /** Room on the file system that holds `path`: what this process may use, in all and now. */
  space(path: string): { readonly totalBytes: number; readonly freeBytes: number }
  readText(path: string): string | undefined
  /** Whole-file replacement: temporary file, sync, rename, directory sync. A reader sees the old text or the new. */
  writeTextAtomically(path: string, text: string): void
}

/** One open file. Positions are bytes from its start. */
export interface DiskFile {
  readonly path: string
  /** Writes all of `buffer[offset, offset + length)` or throws. Visible to every reader on return; durable after `sync`. */
  write(buffer: Uint8Array, offset: number, length: number, position: number): void
  /** Reads up to `length` bytes; returns how many (fewer only at the end of the file). Blocks: for bytes that are surely cached. */
  readNow(buffer: Uint8Array, offset: number, length: number, position: number): number
  /** As `readNow`, off the main thread: for old bytes. */
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number>
  /** fdatasync, off the main thread. Covers every write that returned before the call. A failure is final for what it covered. */
  sync(): Promise<void>
  syncNow(): void
  truncate(sizeBytes: number): void
  /** As `truncate`, to fewer bytes and off the main thread. */
  shrink(sizeBytes: number): Promise<void>
  /** Reserves room up to `sizeBytes` and makes the file that long (zeros). Falls back to `truncate` where the platform cannot reserve. */
  allocate(sizeBytes: number): Promise<void>
  /**
   * These bytes, within the file, will be written soon, and what is there does not count: from now on they are zeros, or as they were. Best effort, it
   * never throws. Writing costs half where the platform has met the bytes before, in one large piece.
   */
  makeReady(position: number, length: number): void
  sizeBytes(): number
  close(): void
}
