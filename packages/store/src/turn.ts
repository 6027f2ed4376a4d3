import type { AppendResult, OnStored } from './types.ts'

/** What was appended since the last write. */
export interface Turn {
  readonly callbacks: OnStored[]
  readonly results: AppendResult[]
  /** End of each append in the log. */
  readonly ends: number[]
  readonly waits: boolean[]
}

export function newTurn(): Turn {
  return { callbacks: [], results: [], ends: [], waits: [] }
}
