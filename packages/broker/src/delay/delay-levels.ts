const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Reads `1s 5s 10s …` (RocketMQ 5.3 `ScheduleMessageService#parseDelayLevel`): the delay of level n is the nth. Throws a sentence. */
export function parseDelayLevels(text: string): number[] {
  const words = text.trim().split(/\s+/)
  return words.map((word) => {
    const match = /^(\d{1,9})([smhd])$/.exec(word)
    const ms = match ? Number(match[1]) * (UNIT_MS[match[2] as string] as number) : Number.NaN
    if (Number.isNaN(ms))
      throw new Error(`messageDelayLevel=${text}: ${JSON.stringify(word)} is not a number with s, m, h or d, as in "10s"`)
    return ms
  })
}

/** The level that a property `DELAY` asks for: 0 when none, the highest when beyond, undefined when it is no whole number. */
export function delayLevelOf(property: string | undefined, levelCount: number): number | undefined {
  if (property === undefined) return 0
  if (!/^[+-]?\d{1,10}$/.test(property)) return undefined
  return Math.max(0, Math.min(Number(property), levelCount))
}
