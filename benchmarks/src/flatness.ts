/** Whether a figure, looked at again and again, stays or grows. */
export interface Limit {
  /** Growth over the whole time looked at that is still flat: this part of the figure's median, or `least`, whichever is more. */
  readonly part: number
  readonly least: number
}

export interface Judgement {
  readonly isFlat: boolean
  /** By the line of least squares, from the first to the last look. */
  readonly growth: number
  /** What would have been too much. */
  readonly limit: number
  /** Of the growth: what chance alone may pretend. */
  readonly standardError: number
}

/** So many standard errors must a growth exceed to be believed. */
const BELIEVED = 2

/** Growing is what grows by more than the limit, and by more than the scatter explains. */
export function judge(values: readonly number[], { part, least }: Limit): Judgement {
  const n = values.length
  const sorted = [...values].sort((a, b) => a - b)
  const limit = Math.max(least, part * (sorted[n >> 1] ?? 0))
  if (n < 3) return { isFlat: false, growth: Number.NaN, limit, standardError: Number.NaN }
  const meanX = (n - 1) / 2
  const meanY = values.reduce((sum, y) => sum + y, 0) / n
  const sxx = values.reduce((sum, _, x) => sum + (x - meanX) ** 2, 0)
  const slope = values.reduce((sum, y, x) => sum + (x - meanX) * (y - meanY), 0) / sxx
  const residual = values.reduce((sum, y, x) => sum + (y - meanY - slope * (x - meanX)) ** 2, 0)
  const standardError = Math.sqrt(residual / (n - 2) / sxx) * (n - 1)
  const growth = slope * (n - 1)
  return { isFlat: !(growth > limit && growth > BELIEVED * standardError), growth, limit, standardError }
}
