import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { freePorts } from '../../scripts/free-ports.ts'
import { Home } from './processes.ts'

let home: Home
beforeEach(() => {
  home = new Home()
})
afterEach(() => home.dispose())

describe('three brokers of one host in one cluster, from the files that we ship', () => {
  it('register, are listed, take a message each way, and stop when asked', async () => {
    const [namesrvPort = 0, ...brokerPorts] = await freePorts(4)
    const namesrvAddr = `127.0.0.1:${namesrvPort}`
    const namesrv = home.run('mqnamesrv', ['-c', home.shipped('namesrv.conf', { listenPort: namesrvPort })])
    await namesrv.says('The Name Server boot success')
    const brokers = ['a', 'b', 'c'].map((name, i) =>
      home.run('mqbroker', [
        '-c',
        home.shipped(`3-brokers-one-host/broker-${name}.conf`, { listenPort: brokerPorts[i] as number, namesrvAddr }),
      ]),
    )
    await Promise.all(brokers.map((broker, i) => broker.says(`The broker[broker-${'abc'[i]}, 127.0.0.1:${brokerPorts[i]}] boot success`)))

    const list = await home.finish('mqadmin', ['clusterList', '-n', namesrvAddr])
    expect(list).toMatchObject({ code: 0 })
    const rows = list.stdout.split('\n').filter((line) => line.includes('DefaultCluster'))
    expect(rows).toHaveLength(3)
    for (const [i, name] of ['broker-a', 'broker-b', 'broker-c'].entries())
      expect(rows[i]).toMatch(new RegExp(`${name}.*127.0.0.1:${brokerPorts[i]}`))

    const created = await home.finish('mqadmin', ['updateTopic', '-n', namesrvAddr, '-c', 'DefaultCluster', '-t', 'greetings'])
    expect(created).toMatchObject({ code: 0 })
    const route = await home.finish('mqadmin', ['topicRoute', '-n', namesrvAddr, '-t', 'greetings'])
    for (const name of ['broker-a', 'broker-b', 'broker-c']) expect(route.stdout).toContain(name)
    expect(await home.finish('mqadmin', ['sendMessage', '-n', namesrvAddr, '-t', 'greetings', '-p', 'hello'])).toMatchObject({ code: 0 })

    // The script became the server: its pid is the server's, and so are the exit code and the signals.
    const down = await home.finish('mqshutdown', ['broker'])
    expect(down).toMatchObject({ code: 0, stderr: '' })
    for (const { pid } of brokers) expect(down.stdout).toContain(`mqbroker(${pid}) has stopped`)
    for (const broker of brokers) expect(await broker.finished).toMatchObject({ code: 0, signal: null })
    expect((await home.finish('mqadmin', ['clusterList', '-n', namesrvAddr])).stdout).not.toContain('broker-a')
    expect(await home.finish('mqshutdown', ['broker'])).toMatchObject({ code: 1, stderr: 'No mqbroker running.\n' })

    namesrv.child.kill('SIGINT')
    expect(await namesrv.finished).toMatchObject({ code: 0, signal: null })
    expect(await home.finish('mqshutdown', ['namesrv'])).toMatchObject({ code: 1 })
  })
})

describe('a start that goes wrong', () => {
  it('because the port is taken says by whom', async () => {
    const [port = 0] = await freePorts(1)
    const first = home.run('mqnamesrv', ['-c', home.file('n.conf', `listenPort=${port}`)])
    await first.says('boot success')
    const second = await home.finish('mqnamesrv', ['-c', home.file('m.conf', `listenPort=${port}`)])
    expect(second.code).toBe(1)
    expect(second.stderr).toContain(`port ${port} is in use`)
    if (process.platform === 'linux') expect(second.stderr).toContain(`by process ${first.pid} `)
    expect(second.stderr).toContain('listenPort')
    expect(second.stderr).not.toMatch(/^\s+at /m)
  })

  it('because another broker holds the store names that broker', async () => {
    const store = `storePathRootDir=${home.path}/store\nbrokerIP1=127.0.0.1\nlistenPort=0\n`
    const first = home.run('mqbroker', ['-c', home.file('a.conf', store)])
    await first.says('boot success')
    const second = await home.finish('mqbroker', ['-c', home.file('b.conf', store)])
    expect(second.code).toBe(1)
    expect(second.stderr).toContain(`${home.path}/store is in use by process ${first.pid}`)
  })

  it('because the store lies below a file names the path and the setting', async () => {
    const file = home.file('occupied', '')
    const { code, stderr } = await home.finish('mqbroker', ['-c', home.file('b.conf', `storePathRootDir=${file}/store\nlistenPort=0\n`)])
    expect(code).toBe(1)
    expect(stderr).toContain(file)
    expect(stderr).toContain('storePathRootDir')
    expect(stderr).not.toMatch(/^\s+at /m)
  })

  it('because of the configuration says which line, and what is allowed', async () => {
    const bad = await home.finish('mqbroker', ['-c', home.file('b.conf', 'listenPort=many\nflushDiskType=SOMETIMES\n')])
    expect(bad.code).toBe(2)
    expect(bad.stderr).toContain('listenPort=many: it must be a whole number from 0 to 65535')
    expect(bad.stderr).toContain('flushDiskType=SOMETIMES: it must be one of ASYNC_FLUSH, SYNC_FLUSH')
    const missing = await home.finish('mqnamesrv', ['-c', '/does/not/exist'])
    expect(missing).toMatchObject({ code: 2, stderr: expect.stringContaining('/does/not/exist') })
    expect(await home.finish('mqnamesrv', ['--colour'])).toMatchObject({ code: 2, stderr: expect.stringContaining('--colour') })
  })
})

describe('the effective configuration', () => {
  it('is the file over the defaults, the flag over the file; unknown keys are warned of with the nearest known', async () => {
    const file = home.file('b.conf', 'brokrName=x\nbrokerName=broker-z\nnamesrvAddr=in-the-file:1\nfileReservedTime=24\n')
    const { code, stdout, stderr } = await home.finish('mqbroker', ['-c', file, '-n', 'on-the-line:2', '-p'], {
      NAMESRV_ADDR: 'in-the-environment:3',
    })
    expect(code).toBe(0)
    for (const line of [
      'brokerName=broker-z',
      'namesrvAddr=on-the-line:2',
      'fileReservedTime=24',
      'listenPort=10911',
      `storePathRootDir=${home.path}/store`,
    ]) {
      expect(stdout.split('\n')).toContain(line)
    }
    expect(stderr).toContain('the configuration key brokrName is not known and has no effect; did you mean brokerName?')
    const environment = await home.finish('mqbroker', ['-p'], { NAMESRV_ADDR: 'in-the-environment:3' })
    expect(environment.stdout).toContain('namesrvAddr=in-the-environment:3\n')
  })

  it('of a NameServer includes what an administrator changed while it ran', async () => {
    const [port = 0] = await freePorts(1)
    const file = home.file('n.conf', `# ours\nlistenPort=${port}\nkvConfigPath=${home.path}/kv.json\n`)
    expect((await home.finish('mqnamesrv', ['-c', file, '-p'])).stdout).toContain(`configStorePath=${file}\n`)
    home.file('changes.properties', 'orderMessageEnable=true\n')
    const elsewhere = home.file('m.conf', `listenPort=${port}\nconfigStorePath=${home.path}/changes.properties\n`)
    expect((await home.finish('mqnamesrv', ['-c', elsewhere, '-p'])).stdout).toContain('orderMessageEnable=true\n')
  })
})

it.each(['mqnamesrv', 'mqbroker'])('%s -h explains itself', async (script) => {
  const { code, stdout } = await home.finish(script, ['-h'])
  expect(code).toBe(0)
  expect(stdout).toContain('--configFile')
})

it('mqshutdown without a kind says what it wants', async () => {
  expect(await home.finish('mqshutdown', [])).toMatchObject({ code: 2, stderr: expect.stringContaining('broker|namesrv') })
})
