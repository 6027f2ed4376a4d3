import { tracingChannel } from 'node:diagnostics_channel'
import type { TracingChannel } from 'node:diagnostics_channel'

/**
 * Tracing channels of `node:diagnostics_channel`; without subscribers they cost one property read.
 * Names as subscribers see them: `tracing:skylarkmq:send:start`, `…:asyncEnd`, `…:error`.
 */
const channels = {
  send: tracingChannel('skylarkmq:send'),
  pull: tracingChannel('skylarkmq:pull'),
  consume: tracingChannel('skylarkmq:consume'),
} as const

const hasSubscribers = (channel: TracingChannel): boolean =>
  channel.start.hasSubscribers ||
  channel.end.hasSubscribers ||
  channel.asyncStart.hasSubscribers ||
  channel.asyncEnd.hasSubscribers ||
  channel.error.hasSubscribers

/** Someone listens to the channel. */
export const isObserved = (name: keyof typeof channels): boolean => hasSubscribers(channels[name])

/** Runs `work` inside the channel's trace if anyone listens; `context` is only called then, and `work` gets what it made. */
export function traced<C extends object, T>(name: keyof typeof channels, context: () => C, work: (context?: C) => Promise<T>): Promise<T> {
  const channel = channels[name]
  if (!hasSubscribers(channel)) return work()
  const made = context()
  return channel.tracePromise(() => work(made), made)
}
