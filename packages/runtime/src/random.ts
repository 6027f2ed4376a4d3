/** Chance, handed in: ids, jitter, random choices. Not for secrets. */
export interface Random {
  /** 0 ≤ n < `bound`, whole. */
  integer(bound: number): number
  /** 0 ≤ x < 1. */
  fraction(): number
  pick<T>(items: readonly T[]): T
  bytes(length: number): Uint8Array
}
