/** The `skylark` executable. Each sub-command loads its own parts only: starting fast is a feature. */
import { reportFailure } from './start-error.ts'

const HELP = `skylark: a message broker that every Apache RocketMQ client talks to

  skylark dev        NameServer and broker in this process, for development
  skylark namesrv    a NameServer             (-c FILE, -p, -h)
  skylark broker     a broker                 (-c FILE, -n NAMESRV_ADDR, -p, -h)
  skylark COMMAND    administration: skylark help lists the commands
`

/** Runs one command line to its end; resolves with the exit code. */
export async function runSkylark(argv: readonly string[]): Promise<number> {
  const [command, ...rest] = argv
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
        return await (await import('./namesrv-command.ts')).runNamesrv(rest)
      case 'broker':
        return await (await import('./broker-command.ts')).runBroker(rest)
      default:
        return await runTool(argv)
    }
  } catch (error) {
    return reportFailure(error)
  }
}

async function runTool(argv: readonly string[]): Promise<number> {
  const [{ runCli }, { consoleLog, nodeRuntime }] = await Promise.all([import('@skylarkmq/tools'), import('@skylarkmq/runtime/node')])
  return await runCli(argv, {
    runtime: nodeRuntime({ log: consoleLog({ level: 'error' }) }),
    env: process.env,
    stdout: (text: string) => void process.stdout.write(text),
    stderr: (text: string) => void process.stderr.write(text),
  })
}
