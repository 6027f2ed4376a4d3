import type { Figure } from '@skylarkmq/runtime'

const label = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
const helpText = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')

function valueText(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  return Number.isFinite(value) ? String(value) : value > 0 ? '+Inf' : '-Inf'
}

/** The text format 0.0.4. Figures of one name stand together, as it demands, under one HELP and one TYPE. */
export function prometheusText(figures: Iterable<Figure>): string {
  const families = new Map<string, string[]>()
  for (const { name, kind, help, value, labels } of figures) {
    let lines = families.get(name)
    if (lines === undefined) families.set(name, (lines = [`# HELP ${name} ${helpText(help)}`, `# TYPE ${name} ${kind}`]))
    const pairs = Object.entries(labels ?? {}).map(([key, text]) => `${key}="${label(text)}"`)
    lines.push(`${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${valueText(value)}`)
  }
  return `${[...families.values()].flat().join('\n')}\n`
}

export const PROMETHEUS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'
