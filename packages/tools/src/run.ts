import { RocketError, createClient } from '@skylarkmq/client'
import type { Runtime } from '@skylarkmq/runtime'
import { SILENT, drawProgress } from './progress.ts'
import type { Progress } from './progress.ts'
import type { CliCommand, CliWorld, Options, Outcome } from './types.ts'

export interface RunOptions {
  readonly namesrvAddr: string
  readonly runtime: Runtime
  say(sentence: string): void
  readonly world: CliWorld
}

/** Runs one command of the table to its outcome; throws RocketError. The command line and the HTTP API both end here. */
export async function runCommand(
  command: CliCommand,
  options: Options,
  { namesrvAddr, runtime, say, world }: RunOptions,
): Promise<Outcome> {
  const client = await createClient({ namesrvAddr, runtime, instanceName: `tools-${runtime.random.integer(1 << 30)}` })
  const bars: Progress[] = []
  const progress = (what: string, total = 0): Progress => {
    const isSeen = world.isErrorTerminal === true && options['json'] !== true
    const bar = isSeen ? drawProgress({ what, total, write: world.stderr, now: () => world.runtime.clock.monotonic() }) : SILENT
    bars.push(bar)
    return bar
  }
  try {
    return await command.run({ options, world, client, admin: client.admin(), say, progress })
  } finally {
    for (const bar of bars) bar.end()
    await client.close({ drainMs: 0 })
  }
}

/** The brokers that are known and what is asked of them: what `--dry-run` tells. */
export async function previewCommand(command: CliCommand, options: Options, { namesrvAddr, runtime }: RunOptions): Promise<Outcome> {
  const client = await createClient({ namesrvAddr, runtime, instanceName: `tools-${runtime.random.integer(1 << 30)}` })
  try {
    const asked = Object.fromEntries(Object.entries(options).filter(([name]) => !GENERAL.has(name)))
    const only = options['cluster'] ?? options['clusterName']
    const address = options['broker'] ?? options['brokerAddr']
    const all = await client.admin().cluster.brokers()
    const brokers = all.filter((b) => (only === undefined || b.cluster === only) && (address === undefined || b.address === address))
    if (brokers.length === 0 && command.noun !== 'namesrv')
      throw new RocketError('nothing would be done: no broker fits; see: skylark cluster list', { code: 'NO_ROUTE' })
    const words = Object.entries(asked).map(([name, value]) => `--${name} ${String(value)}`)
    const sentence = `would be done: ${command.noun} ${command.verb} ${words.join(' ')}`
    return {
      value: { dryRun: true, command: command.alias, options: asked, brokers },
      notes: [sentence, ...brokers.map((broker) => `  at ${broker.brokerName} (${broker.address})`), 'Nothing was changed.'],
    }
  } finally {
    await client.close({ drainMs: 0 })
  }
}

const GENERAL: ReadonlySet<string> = new Set(['json', 'yes', 'dryRun', 'watch', 'namesrvAddr'])
