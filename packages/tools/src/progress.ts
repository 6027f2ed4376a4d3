/** How far long work has come, in one line of standard error that is drawn over: for a person at a terminal, and for nobody else. */

export interface Progress {
  /** So much of it is done. */
  done(by?: number): void
  /** There is more to do than was known. */
  more(by: number): void
  /** To where it is now: for work that says so itself. */
  at(done: number, total: number): void
  /** Takes the line away. */
  end(): void
}

export interface ProgressLine {
  readonly what: string
  readonly total?: number
  /** Amounts as a person reads them; without it as they are. */
  readonly amount?: (value: number) => string
  write(text: string): void
  /** Milliseconds that never go back. */
  now(): number
}

/** What is done sooner needs no bar. */
const SHOWN_AFTER_MS = 400
const DRAWN_EVERY_MS = 100
const WIDTH = 24
const CLEAR = '\r\u001b[K'

export const SILENT: Progress = Object.freeze({ done() {}, more() {}, at() {}, end() {} })

export function drawProgress({ what, total: first = 0, amount = String, write, now }: ProgressLine): Progress {
  const beganMs = now()
  let drawnMs = Number.NEGATIVE_INFINITY
  let [done, total] = [0, first]
  const draw = (): void => {
    const nowMs = now()
    if (total <= 0 || nowMs - beganMs < SHOWN_AFTER_MS || nowMs - drawnMs < DRAWN_EVERY_MS) return
    drawnMs = nowMs
    const share = Math.min(1, done / total)
    const filled = Math.round(share * WIDTH)
    const bar = `${'█'.repeat(filled)}${'░'.repeat(WIDTH - filled)}`
    write(`${CLEAR}${what} ${bar} ${Math.floor(share * 100)} % (${amount(done)} of ${amount(total)})`)
  }
  return {
    done(by = 1) {
      done += by
      draw()
    },
    more(by) {
      total += by
      draw()
    },
    at(nowDone, nowTotal) {
      ;[done, total] = [nowDone, nowTotal]
      draw()
    },
    end() {
      if (drawnMs > Number.NEGATIVE_INFINITY) write(CLEAR)
      drawnMs = Number.NEGATIVE_INFINITY
    },
  }
}
