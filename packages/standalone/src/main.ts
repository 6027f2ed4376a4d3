/** The `skylark` executable. Each sub-command loads its own parts only: starting fast is a feature. */
import { reportFailure } from './start-error.ts'

const HELP = `skylark: a message broker that every Apache RocketMQ client talks to

  skylark dev        NameServer and broker in this process, for development
  skylark cluster    a NameServer and several brokers, each a process of its own (--brokers COUNT, -h)
  skylark namesrv    a NameServer             (-c FILE, -p, -h)
  skylark broker     a broker                 (-c FILE, -n NAMESRV_ADDR, -p, -h)
  skylark store      the folder of a stopped broker: check, report, salvage, export-config
  skylark COMMAND    administration: skylark help lists the commands
`

/** Runs one command line to its end; resolves with the exit code. */
export async function runSkylark(argv: readonly string[]): Promise<number> {
  const [command, ...rest] = argv
  // Started by skylark cluster, which is gone when the channel closes.
  if (process.connected) process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))
  process.channel?.unref()
  try {
    switch (command) {
      case undefined:
      case '-h':
      case '--help':
        process.stdout.write(HELP)
        return command === undefined ? 2 : 0
      case 'dev':
        return await (await import('./dev.ts')).runDev(rest)
      case 'namesrv':
        if (isToolCall(rest)) return await runTool(argv)
        return await (await import('./namesrv-command.ts')).runNamesrv(rest)
      case 'broker':
        if (isToolCall(rest)) return await runTool(argv)
        return await (await import('./broker-command.ts')).runBroker(rest)
      case 'cluster':
        if (isToolCall(rest)) return await runTool(argv)
        return await (await import('./cluster-command.ts')).runCluster(rest)
      case 'store':
        return await (await import('./store-command.ts')).runStore(rest)
      default:
        return await runTool(argv)
    }
  } catch (error) {
    return reportFailure(error)
  }
}

/** `skylark broker -c FILE` starts one, `skylark broker status` asks one. */
const isToolCall = (rest: readonly string[]): boolean => rest[0] !== undefined && !rest[0].startsWith('-')

async function runTool(argv: readonly string[]): Promise<number> {
  const [{ runCli }, { consoleLog, nodeRuntime }] = await Promise.all([import('@skylarkmq/tools'), import('@skylarkmq/runtime/node')])
  const stopped = new AbortController()
  if (argv.includes('--watch')) process.once('SIGINT', () => stopped.abort())
  // Timers of the runtime keep no process alive: between two looks of --watch there is nothing else.
  const alive = setInterval(() => {}, 3_600_000)
  const isTerminal = process.stdout.isTTY === true
  try {
    return await runCli(argv, {
      runtime: nodeRuntime({ log: consoleLog({ level: 'error' }) }),
      env: process.env,
      stdout: (text: string) => void process.stdout.write(text),
      stderr: (text: string) => void process.stderr.write(text),
      isTerminal,
      isErrorTerminal: process.stderr.isTTY === true,
      signal: stopped.signal,
      confirm: process.stdin.isTTY && isTerminal ? confirm : undefined,
    })
  } finally {
    clearInterval(alive)
  }
}

async function confirm(question: string): Promise<boolean> {
  const { createInterface } = await import('node:readline/promises')
  const prompt = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await prompt.question(`${question} [y/N] `)
  prompt.close()
  return /^y(es)?$/i.test(answer.trim())
}
