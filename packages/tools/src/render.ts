import Table3 from 'cli-table3'
import pc from 'picocolors'
import type { Outcome, Table } from './types.ts'

/** Tables without lines: they can be read, and cut by tools. Colours only where a person looks: output often goes into a pipe. */
function table({ columns, rows }: Table, colours: boolean): string {
  const { bold } = pc.createColors(colours)
  const out = new Table3({
    head: columns.map((column) => bold(column)),
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

export const renderText = (outcome: Outcome, colours = false): string =>
  [...(outcome.tables ?? []).map((one) => table(one, colours)), ...(outcome.notes ?? [])].map((part) => `${part}\n`).join('')
