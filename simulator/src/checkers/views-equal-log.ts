import type { Checker } from '../evidence.ts'

/** Queues and key index as they were taken from their files say the same as those made anew from the log. The look itself: views.ts. */
export const viewsEqualLog: Checker = ({ viewDifferences }) =>
  viewDifferences.map((sentence) => ({ checker: 'views-equal-log', sentence, about: sentence.split(' ', 1) }))
