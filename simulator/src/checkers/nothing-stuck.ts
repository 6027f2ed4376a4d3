import type { Checker } from '../evidence.ts'

/** When all faults are repaired, servers come up and calls end. */
export const nothingStuck: Checker = ({ stuck }) =>
  stuck.map((sentence) => ({ checker: 'nothing-stuck', sentence, about: sentence.split(' ', 1) }))
