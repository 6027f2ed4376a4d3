export { assert, AssertionError, unreachable } from './assert.ts'
export type { Clock, Timer } from './clock.ts'
export { defineConfig, nearestName, setting } from './config.ts'
export type {
  ConfigDefinition,
  ConfigEntries,
  ConfigField,
  ConfigFields,
  ConfigOf,
  ConfigProblem,
  ConfigValues,
  ParsedConfig,
  UnknownKey,
} from './config.ts'
export type { Disk, DiskFile } from './disk.ts'
export type { Figure } from './figure.ts'
export { Lifecycle } from './lifecycle.ts'
export { silentLog } from './log.ts'
export type { Log, LogFields } from './log.ts'
export type { Connection, ConnectionHandler, ConnectOptions, Listener, ListenOptions, Network } from './network.ts'
export { formatPropertiesFile, parsePropertiesFile, updatePropertiesFile } from './properties-file.ts'
export type { Random } from './random.ts'
export type { Runtime } from './runtime.ts'
