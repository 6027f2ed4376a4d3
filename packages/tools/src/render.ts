import Table3 from 'cli-table3'
import type { Outcome, Table } from './types.ts'

/** Tables without lines: they can be read, and cut by tools. No colours: output often goes into a pipe. */
function table({ columns, rows }: Table): string {
  const out = new Table3({
    head: [...columns],
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
    chars: {
      top: '',
      'top-mid': '',
      'top-left': '',
      'top-right': '',
      bottom: '',
      'bottom-mid': '',
      'bottom-left': '',
      'bottom-right': '',
      left: '',
      'left-mid': '',
      mid: '',
      'mid-mid': '',
      right: '',
      'right-mid': '',
      middle: '',
    },
  })
  for (const row of rows) out.push([...row])
  return out
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
}

const replaceBigints = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? value.toString() : value)

export const renderJson = (outcome: Outcome): string => `${JSON.stringify(outcome.value, replaceBigints, 2)}\n`

export const renderText = (outcome: Outcome): string =>
  [...(outcome.tables ?? []).map(table), ...(outcome.notes ?? [])].map((part) => `${part}\n`).join('')
