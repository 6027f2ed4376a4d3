import { AsyncLocalStorage } from 'node:async_hooks'

/** W3C Trace Context (https://www.w3.org/TR/trace-context/) as message properties, where OpenTelemetry's Java agent looks for it too. */
export interface TraceContext {
  readonly traceparent: string
  readonly tracestate?: string | undefined
}

export const TRACEPARENT = 'traceparent'
export const TRACESTATE = 'tracestate'
const TRACESTATE_MAX = 512
/** Version, trace id, parent id, flags; a later version may say more after them. */
const FORM = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?=$|-)/

const storage = new AsyncLocalStorage<TraceContext | undefined>()
/** Nobody pays for asking before somebody has set one. */
let isUsed = false

/** The trace that the running code belongs to: of the message whose handler called it, or of `withTrace`. */
export const currentTrace = (): TraceContext | undefined => (isUsed ? storage.getStore() : undefined)

/** Runs `work` inside a trace: messages that it sends carry it on. `undefined` leaves the trace. */
export function withTrace<T>(trace: TraceContext | undefined, work: () => T): T {
  if (trace === undefined && !isUsed) return work()
  isUsed = true
  return storage.run(trace, work)
}

/** The trace that a message carries; undefined when it carries none, or one that breaks the rules. */
export function traceOf(properties: ReadonlyMap<string, string>): TraceContext | undefined {
  const traceparent = properties.get(TRACEPARENT)
  if (traceparent === undefined || !FORM.test(traceparent)) return undefined
  const tracestate = properties.get(TRACESTATE)
  return tracestate === undefined || tracestate.length > TRACESTATE_MAX ? { traceparent } : { traceparent, tracestate }
}

const NONE: readonly (readonly [string, string])[] = []

/**
 * What a message takes along: what the application set itself stays; then what subscribers of `skylarkmq:send` put into the event's
 * `properties`; else the trace of the running code, unchanged, as nobody recorded a span of ours.
 */
export function outgoingTrace(
  own: Readonly<Record<string, string>> | undefined,
  added: Readonly<Record<string, string>> | undefined,
): readonly (readonly [string, string])[] {
  const trace = currentTrace()
  if (added === undefined && trace === undefined) return NONE
  const pairs = Object.entries(added ?? {}).filter(([name]) => own?.[name] === undefined)
  if (trace === undefined || own?.[TRACEPARENT] !== undefined || added?.[TRACEPARENT] !== undefined) return pairs
  pairs.push([TRACEPARENT, trace.traceparent])
  if (trace.tracestate) pairs.push([TRACESTATE, trace.tracestate])
  return pairs
}
