/** Property text judged where it lies: most of it needs nothing but the broker's own stamp. */
import { PROPERTY } from '@skylarkmq/remoting/protocol'
import { TIMER_REQUESTS } from '../timer/timer-request.ts'
import { STRIPPED_PROPERTIES } from './send-checks.ts'

/** Names that change what a send means, or that the broker writes itself. */
export const UNUSUAL_PROPERTIES: readonly string[] = [
  ...STRIPPED_PROPERTIES,
  PROPERTY.DELAY,
  PROPERTY.TRAN_MSG,
  PROPERTY.PRIORITY,
  ...TIMER_REQUESTS,
  PROPERTY.CLUSTER,
  PROPERTY.MSG_REGION,
  PROPERTY.TRACE_ON,
]
/** Names are compared with each other: beyond so many the declared route, with its map, is cheaper. */
const PROPERTIES_COUNT_MAX = 24

/** What the broker adds to every message. */
export const stampText = (config: { readonly brokerClusterName: string; readonly regionId: string; readonly traceOn: boolean }): string =>
  `${PROPERTY.CLUSTER}\u0001${config.brokerClusterName}\u0002${PROPERTY.MSG_REGION}\u0001${config.regionId}\u0002${PROPERTY.TRACE_ON}\u0001${config.traceOn}\u0002`

const USUAL = 0
const UNUSUAL = 1
const UNIQ_KEY = 2

/** Recognises the few names that matter by their bytes. */
class PropertyNames {
  readonly #byLength: { readonly bytes: Uint8Array; readonly kind: number }[][] = []

  constructor() {
    for (const name of UNUSUAL_PROPERTIES) this.#add(name, UNUSUAL)
    this.#add(PROPERTY.UNIQ_KEY, UNIQ_KEY)
  }

  #add(name: string, kind: number): void {
    const bytes = Buffer.from(name)
    this.#byLength[bytes.length] = [...(this.#byLength[bytes.length] ?? []), { bytes, kind }]
  }

  kindOf(bytes: Uint8Array, start: number, end: number): number {
    const candidates = this.#byLength[end - start]
    if (candidates !== undefined) for (const name of candidates) if (equalBytes(name.bytes, bytes, start, end)) return name.kind
    return USUAL
  }
}

export function equalBytes(name: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (name.length !== end - start) return false
  for (let i = 0; i < name.length; i++) if (name[i] !== bytes[start + i]) return false
  return true
}

function sameRange(bytes: Uint8Array, a: number, b: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (bytes[a + i] !== bytes[b + i]) return false
  return true
}

const NAME_END = 1
const PROPERTY_END = 2

/** Stores a property text as it came, with the broker's stamp behind it, where that is what the declared route would store. */
export class PlainProperties {
  readonly #names = new PropertyNames()
  readonly #starts = new Int32Array(PROPERTIES_COUNT_MAX)
  readonly #ends = new Int32Array(PROPERTIES_COUNT_MAX)

  /** Undefined unless the text is whole pairs in ASCII, UNIQ_KEY among them, no name twice, none that means something to the broker. */
  stamped(text: Uint8Array, stamp: Uint8Array): Buffer | undefined {
    if (!this.#isPlain(text)) return undefined
    // The last pair may lack its end.
    const end = text[text.length - 1] === PROPERTY_END ? text.length : text.length + 1
    const bytes = Buffer.allocUnsafe(end + stamp.length)
    bytes.set(text)
    bytes[end - 1] = PROPERTY_END
    bytes.set(stamp, end)
    return bytes
  }

  #isPlain(text: Uint8Array): boolean {
    const starts = this.#starts
    const ends = this.#ends
    let count = 0
    let hasUniqKey = false
    for (let at = 0; at < text.length; ) {
      if (count === PROPERTIES_COUNT_MAX) return false
      const nameEnd = endOfAscii(text, at, NAME_END, PROPERTY_END)
      const end = nameEnd < 0 ? -1 : endOfAscii(text, nameEnd + 1, PROPERTY_END, PROPERTY_END)
      if (end < 0 || nameEnd === at || end === nameEnd + 1 || text[nameEnd] !== NAME_END) return false
      const kind = this.#names.kindOf(text, at, nameEnd)
      if (kind === UNUSUAL) return false
      if (kind === UNIQ_KEY) hasUniqKey = true
      for (let k = 0; k < count; k++) {
        const start = starts[k] as number
        if ((ends[k] as number) - start === nameEnd - at && sameRange(text, start, at, nameEnd - at)) return false
      }
      starts[count] = at
      ends[count++] = nameEnd
      at = end + 1
    }
    return hasUniqKey
  }
}

/** Where the first of these bytes is, or the text's end; -1 when something before it is not ASCII. */
function endOfAscii(text: Uint8Array, from: number, one: number, other: number): number {
  let at = from
  for (; at < text.length; at++) {
    const found = text[at] as number
    if (found === one || found === other) break
    if (found > 0x7f) return -1
  }
  return at
}
