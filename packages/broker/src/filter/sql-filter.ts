import type { RecordFilter } from '@skylarkmq/store'
import { parseSql } from './parser.ts'
import { PropertyReader } from './record-properties.ts'
import { EVALUATION_FAILED } from './values.ts'

/** An expression, ready to filter with. */
export interface SqlFilter {
  /** Whether a stored record is wanted. Never throws. */
  readonly record: RecordFilter
  /** Whether a message with these properties is. */
  readonly matches: (properties: ReadonlyMap<string, string>) => boolean
  /** Entries that one pull may look at, so that an expensive expression holds up nobody else. */
  readonly scanEntries: number
}

/** Comparisons that one pull may cost. */
const SCAN_COMPARISONS = 40_000
/** RocketMQ 5.3 `DefaultMessageStore#getMessage`: entries of 16 000 bytes, as for tags. */
const SCAN_ENTRIES_MAX = 800

/** Throws SqlError with the place of the fault. */
export function compileSql(expression: string): SqlFilter {
  const { test, names, comparisons } = parseSql(expression)
  const reader = new PropertyReader(names)
  const isWanted = (values: readonly (string | undefined)[]): boolean => {
    try {
      return test(values) === true
    } catch (error) {
      // A value that cannot be compared matches nothing (RocketMQ 5.3 `ExpressionMessageFilter#isMatchedByCommitLog`).
      if (error === EVALUATION_FAILED) return false
      throw error
    }
  }
  const scan = Math.floor(SCAN_COMPARISONS / Math.max(1, comparisons))
  return {
    record: (record) => isWanted(reader.read(record)),
    matches: (properties) => isWanted(names.map((name) => properties.get(name))),
    scanEntries: Math.min(SCAN_ENTRIES_MAX, Math.max(1, scan)),
  }
}
