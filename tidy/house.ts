/** The house as data: what ARCHITECTURE.md says in prose. Change both together. */

/** What the sources of a package may import of ours, by door. */
export const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  runtime: [],
  remoting: ['@skylarkmq/runtime'],
  store: ['@skylarkmq/runtime', '@skylarkmq/remoting/protocol'],
  namesrv: ['@skylarkmq/runtime', '@skylarkmq/remoting', '@skylarkmq/remoting/protocol'],
  broker: ['@skylarkmq/runtime', '@skylarkmq/remoting', '@skylarkmq/remoting/protocol', '@skylarkmq/store'],
  // The node door: its default world, loaded only when the caller hands none in.
  client: ['@skylarkmq/runtime', '@skylarkmq/runtime/node', '@skylarkmq/remoting', '@skylarkmq/remoting/protocol'],
  tools: ['@skylarkmq/runtime', '@skylarkmq/remoting', '@skylarkmq/remoting/protocol', '@skylarkmq/client'],
  standalone: [
    '@skylarkmq/runtime',
    '@skylarkmq/runtime/node',
    '@skylarkmq/runtime/pino',
    '@skylarkmq/remoting',
    '@skylarkmq/remoting/protocol',
    '@skylarkmq/store',
    '@skylarkmq/namesrv',
    '@skylarkmq/broker',
    '@skylarkmq/client',
    '@skylarkmq/tools',
  ],
}

/** Every way into a package. Tests may use all of them, and nothing deeper. */
export const DOORS: Readonly<Record<string, string>> = {
  '@skylarkmq/runtime': 'packages/runtime/src/index.ts',
  '@skylarkmq/runtime/node': 'packages/runtime/src/node/index.ts',
  '@skylarkmq/runtime/sim': 'packages/runtime/src/sim/index.ts',
  '@skylarkmq/runtime/pino': 'packages/runtime/src/node/pino-log.ts',
  '@skylarkmq/remoting': 'packages/remoting/src/index.ts',
  '@skylarkmq/remoting/protocol': 'packages/remoting/src/protocol/index.ts',
  '@skylarkmq/store': 'packages/store/src/index.ts',
  '@skylarkmq/namesrv': 'packages/namesrv/src/index.ts',
  '@skylarkmq/broker': 'packages/broker/src/index.ts',
  '@skylarkmq/client': 'packages/client/src/index.ts',
  '@skylarkmq/tools': 'packages/tools/src/index.ts',
  '@skylarkmq/standalone': 'packages/standalone/src/index.ts',
}

/** Folders whose inside does not know the other: [who, whom, why]. */
export const INNER_WALLS: readonly (readonly [from: string, to: string, reason: string])[] = [
  ['packages/remoting/src/protocol/', 'packages/remoting/src/transport/', 'the protocol is pure: it loads without any connection'],
  ['packages/runtime/src/sim/', 'packages/runtime/src/node/', 'a simulation must not reach the machine'],
  ['packages/runtime/src/node/', 'packages/runtime/src/sim/', 'the real world is not built on the simulated one'],
]

/** Where the outside world may be named. Everywhere else it is handed in as `Runtime`. */
export const isOuterPlace = (path: string): boolean =>
  path.startsWith('packages/runtime/src/node/') || path.startsWith('packages/standalone/') || /^packages\/[^/]+\/bin\//.test(path)

/** The simulator's only real timer. */
export const DRAIN = 'packages/runtime/src/sim/drain.ts'

/** Modules of Node that are the outside world. The rest (zlib, crypto's hashes, path, events …) computes. */
export const OUTER_MODULES: Readonly<Record<string, string>> = {
  'node:fs': 'runtime.disk',
  'node:fs/promises': 'runtime.disk',
  'node:net': 'runtime.network',
  'node:tls': 'runtime.network',
  'node:http': 'a port of its own',
  'node:https': 'a port of its own',
  'node:http2': 'a port of its own',
  'node:dgram': 'runtime.network',
  'node:dns': 'runtime.network',
  'node:timers': 'runtime.clock',
  'node:timers/promises': 'runtime.clock',
  'node:perf_hooks': 'runtime.clock',
  'node:process': 'an argument, filled in by the bin',
  'node:os': 'an argument, filled in by the bin',
  'node:child_process': 'an argument, filled in by the bin',
  'node:cluster': 'an argument, filled in by the bin',
  'node:worker_threads': 'an argument, filled in by the bin',
  'node:readline': 'an argument, filled in by the bin',
}

export interface Ban {
  readonly pattern: RegExp
  readonly name: string
  readonly instead: string
  /** Also in unit tests: what waits on the machine's time fails on a busy one. */
  readonly inTests: boolean
}

export const BANS: readonly Ban[] = [
  { name: 'Date.now', pattern: /(?<![.\w#$])Date\.now\b/, instead: 'clock.now() or clock.monotonic()', inTests: true },
  { name: 'new Date()', pattern: /(?<![.\w#$])new Date\(\s*\)/, instead: 'new Date(clock.now())', inTests: true },
  { name: 'performance.now', pattern: /(?<![.\w#$])performance\.(now|timeOrigin)\b/, instead: 'clock.monotonic()', inTests: true },
  {
    name: 'Math.random',
    pattern: /(?<![.\w#$])Math\.random\b/,
    instead: 'random.integer(), random.fraction(), random.pick()',
    inTests: true,
  },
  {
    name: 'random of node:crypto',
    pattern: /(?<![\w#$])(randomBytes|randomUUID|randomInt|getRandomValues)\(/,
    instead: 'random.bytes()',
    inTests: true,
  },
  { name: 'setTimeout', pattern: /(?<![.\w#$])setTimeout\(/, instead: 'clock.after() or clock.sleep()', inTests: true },
  { name: 'setInterval', pattern: /(?<![.\w#$])setInterval\(/, instead: 'clock.every()', inTests: true },
  { name: 'setImmediate', pattern: /(?<![.\w#$])setImmediate\b/, instead: 'clock.afterTurn()', inTests: false },
  {
    name: 'AbortSignal.timeout',
    pattern: /(?<![.\w#$])AbortSignal\.timeout\b/,
    instead: 'an AbortController and clock.after()',
    inTests: true,
  },
  { name: 'process', pattern: /(?<![.\w#$])(?:globalThis\.)?process\.[a-z]/, instead: 'an argument, filled in by the bin', inTests: false },
  {
    name: 'console',
    pattern: /(?<![.\w#$])console\.[a-z]/,
    instead: 'log.info(sentence, fields), or a `write` that the bin hands in',
    inTests: false,
  },
  { name: 'fetch', pattern: /(?<![.\w#$])fetch\(/, instead: 'runtime.network', inTests: false },
]

export const LINES_MAX = 500

/** Doors may not outgrow a screen by `export *`: each name is listed. */
export const EXPORT_ALL = /^\s*export\s+\*/m
