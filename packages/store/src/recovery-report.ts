import type { RecoveryReport } from './types.ts'

/** Damaged places that the readable paragraph names one by one; the report's list has all. */
const DAMAGES_IN_TEXT = 20

/** What a start found, before it is put into words. `wrong`: why the log was cut. */
export type Found = Omit<RecoveryReport, 'text'> & { readonly wrong: string | undefined }

/** One paragraph, a sentence for each thing that is out of the ordinary. */
export function describeRecovery({ wrong, ...facts }: Found): RecoveryReport {
  const parts = [
    facts.cleanStop ? 'The last stop was clean.' : 'The last stop was not clean.',
    facts.checkedTo === facts.checkedFrom
      ? `The log ends at ${facts.checkedTo}, where the last checkpoint was; nothing behind it had to be checked.`
      : `From log position ${facts.checkedFrom} to ${facts.checkedTo} ${facts.recordsChecked} whole records were found.`,
  ]
  for (const { offset, bytes, why, savedTo } of facts.damaged.slice(0, DAMAGES_IN_TEXT)) {
    const saved = savedTo === undefined ? 'there was no room to keep them' : `they are kept in ${savedTo}`
    parts.push(`At ${offset} ${bytes} bytes are damaged (${why}): ${saved}, and the log goes on behind them.`)
  }
  if (facts.damaged.length > DAMAGES_IN_TEXT) parts.push(`${facts.damaged.length - DAMAGES_IN_TEXT} more places are damaged.`)
  if (facts.cutAt !== undefined) {
    const why = wrong === undefined ? '' : ` (${wrong})`
    parts.push(`At ${facts.cutAt} the log was cut: ${facts.cutBytes} bytes behind it were no whole record${why}.`)
  }
  if (facts.rebuiltBecause !== undefined)
    parts.push(`${facts.queuesRebuilt} consume queues and the key index were derived anew from the log: ${facts.rebuiltBecause}.`)
  parts.push(...facts.notes, `That took ${facts.durationMs} ms.`)
  return { ...facts, text: parts.join(' ') }
}
