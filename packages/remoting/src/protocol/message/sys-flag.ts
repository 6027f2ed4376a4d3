/** Bits of a message's `sysFlag` (RocketMQ 5.3 `MessageSysFlag`). */
export const SYS_FLAG = Object.freeze({
  COMPRESSED: 0x1,
  MULTI_TAGS: 0x2,
  TRANSACTION_MASK: 0xc,
  TRANSACTION_NONE: 0,
  TRANSACTION_PREPARED: 0x4,
  TRANSACTION_COMMIT: 0x8,
  TRANSACTION_ROLLBACK: 0xc,
  BORN_HOST_V6: 0x10,
  STORE_HOST_V6: 0x20,
  NEED_UNWRAP: 0x40,
  INNER_BATCH: 0x80,
  COMPRESSION_MASK: 0x700,
  COMPRESSION_LZ4: 0x100,
  COMPRESSION_ZSTD: 0x200,
  COMPRESSION_ZLIB: 0x300,
})

/** Bits of a pull request's `sysFlag` (RocketMQ 5.3 `PullSysFlag`). */
export const PULL_FLAG = Object.freeze({
  COMMIT_OFFSET: 0x1,
  SUSPEND: 0x2,
  SUBSCRIPTION: 0x4,
  CLASS_FILTER: 0x8,
  LITE_PULL: 0x10,
})

/** Permission bits of a topic or broker (RocketMQ 5.3 `PermName`). */
export const PERM = Object.freeze({ PRIORITY: 8, READ: 4, WRITE: 2, INHERIT: 1 })

export const isReadable = (perm: number): boolean => (perm & PERM.READ) !== 0
export const isWriteable = (perm: number): boolean => (perm & PERM.WRITE) !== 0
export const isInherited = (perm: number): boolean => (perm & PERM.INHERIT) !== 0
