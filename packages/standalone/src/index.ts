export { startLocal } from './local.ts'
export type { Local, LocalOptions } from './local.ts'
