export { lockDirectory as lockStore } from './directory-lock.ts'
export { checkStore } from './maintenance/check-store.ts'
export type { CheckOptions, CheckReport, FoundDamage, LostMessages } from './maintenance/check-store.ts'
export { salvageStore } from './maintenance/salvage-store.ts'
export type { SalvageReport } from './maintenance/salvage-store.ts'
export { exportApacheConfig, importApacheConfig } from './metadata/apache-config.ts'
export { memoryMetadata } from './metadata/memory-metadata.ts'
export { openSqliteMetadata } from './metadata/sqlite-metadata.ts'
export type { DiskRules } from './disk-guard.ts'
export { openMessageStore } from './open-store.ts'
export { memoryTimerIndex } from './timers/memory-timer-index.ts'
export { openSqliteTimerIndex } from './timers/sqlite-timer-index.ts'
export type { PendingTimer, TimerIndex, TimerIndexChange, TimerIndexState } from './timers/timer-index.ts'
export type {
  AppendResult,
  AppendStatus,
  ArrivalListener,
  BodyToPut,
  CompactionRules,
  DamagedPlace,
  EntryFilter,
  MessageStore,
  MessageToStore,
  MetadataStore,
  MetadataTable,
  OnStored,
  ReadRequest,
  ReadResult,
  PutTimes,
  ReadStatus,
  RecordFilter,
  RecoveryReport,
  ScannedBatch,
  SendRun,
  StoreOptions,
} from './types.ts'
