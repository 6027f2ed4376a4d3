/** V8's CPU profile, by what our broker's code was doing. */

interface Node {
  readonly id: number
  readonly callFrame: { readonly functionName: string; readonly url: string }
  readonly children?: readonly number[]
}

export interface Profile {
  readonly nodes: readonly Node[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
  readonly endTime: number
  readonly startTime: number
}

/** The first that fits; of files in packages/NAME/dist. */
const BY_FILE: readonly (readonly [RegExp, string])[] = [
  [/^wasm/, 'the kernel: headers, records, checksums, answers'],
  [/runtime\/dist\/node\/disk/, 'log and view files: the system'],
  [/runtime\/dist\/node\/(connection|network)|^node:(net|internal\/stream)/, 'sockets: the system, and Node’s streams'],
  [/remoting\/dist\/transport/, 'frames in and out'],
  [/remoting\/dist\/protocol/, 'headers and messages: decoding, encoding'],
  [
    /store\/dist\/(crc32|digest|bytes|commit-log|message-store|scanned|send-runs|record-hosts|turn|admission)/,
    'records: encoding, checksums, staging',
  ],
  [/store\/dist\/(dispatch|consume-queue|index|views|timers)/, 'consume queues and key index'],
  [/store\/dist/, 'reads of the store'],
  [/broker\/dist/, 'checks and answers'],
]
const COLLECTOR = 'garbage collection'
const REST = 'the rest: Node, libuv, unnamed native code'

export const BUCKETS: readonly string[] = [...BY_FILE.map(([, bucket]) => bucket), COLLECTOR, REST]

/** Parts of the busy time in the last `seconds` before the load ended; the broker's own end is left out. */
export function sharesOf(profile: Profile, seconds: number): ReadonlyMap<string, number> {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]))
  const parents = new Map(profile.nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id] as const)))
  const bucketOf = (id: number): string | undefined => {
    const own = nodes.get(id)?.callFrame.functionName
    if (own === '(idle)') return undefined
    if (own === '(garbage collector)') return COLLECTOR
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const url = nodes.get(at)?.callFrame.url ?? ''
      const found = BY_FILE.find(([pattern]) => pattern.test(url))
      if (found !== undefined) return found[1]
    }
    return REST
  }
  const buckets = new Map(profile.nodes.map((node) => [node.id, bucketOf(node.id)]))
  const busy = new Map<string, number>()
  let total = 0
  let atMicroseconds = profile.startTime
  const until = profile.endTime - 1e6
  for (const [i, id] of profile.samples.entries()) {
    const delta = profile.timeDeltas[i] as number
    atMicroseconds += delta
    const bucket = buckets.get(id)
    if (bucket === undefined || atMicroseconds > until || atMicroseconds < until - seconds * 1e6) continue
    busy.set(bucket, (busy.get(bucket) ?? 0) + delta)
    total += delta
  }
  return new Map([...busy].map(([bucket, micros]) => [bucket, micros / total]))
}
