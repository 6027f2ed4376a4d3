/** What an operator does at the terminal: looks again and again, is asked before anything is destroyed, changes settings. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RESPONSE_CODES } from '@skylarkmq/remoting/protocol'
import type { ResponseCodeEntry } from '@skylarkmq/remoting/protocol'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { startLocal } from '@skylarkmq/standalone'
import type { Local } from '@skylarkmq/standalone'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { COMMANDS, runCli, runCommand } from '../src/index.ts'
import type { CliWorld } from '../src/index.ts'

const runtime = nodeRuntime()
let local: Local

async function skylark(argv: readonly string[], more: Partial<CliWorld> = {}) {
  let out = ''
  let err = ''
  const world: CliWorld = {
    runtime,
    env: { NAMESRV_ADDR: local.namesrvAddr },
    stdout: (text) => void (out += text),
    stderr: (text) => void (err += text),
    ...more,
  }
  return { code: await runCli(argv, world), out, err }
}

const line = (text: string) => text.split(' ')

beforeAll(async () => {
  local = await startLocal(runtime, { storePath: mkdtempSync(join(tmpdir(), 'skylark-operate-')) })
  await skylark(line('topic update -t Orders -r 2 -w 2'))
})
afterAll(() => local?.close())

describe('work that takes long', () => {
  /** Each look at the clock is a second later. */
  async function reads(world: Partial<CliWorld>, options: Record<string, boolean> = {}): Promise<string> {
    let [seconds, err] = [0, '']
    const clock = { ...runtime.clock, monotonic: () => (seconds += 1000) }
    const command = COMMANDS.find(({ alias }) => alias === 'resetOffsetByTime')!
    const at = { runtime: { ...runtime, clock }, env: {}, stdout: () => {}, stderr: (text: string) => void (err += text), ...world }
    const given = { group: 'readers', topic: 'Orders', timestamp: 'earliest', dryRun: true, ...options }
    await runCommand(command, given, { namesrvAddr: local.namesrvAddr, runtime, world: at, say: () => {} })
    return err
  }

  test('shows a bar to a person, and takes it away', async () => {
    const err = await reads({ isErrorTerminal: true })
    expect(err).toContain('looking at the queues of Orders ████████████████████████ 100 % (2 of 2)')
    expect(err.endsWith('\r\u001b[K')).toBe(true)
  })

  test('shows a script nothing: not in a pipe, not with --json', async () => {
    expect([await reads({}), await reads({ isErrorTerminal: true }, { json: true })]).toEqual(['', ''])
  })
})

describe('before anything is destroyed', () => {
  test('--dry-run says where it would happen, and changes nothing', async () => {
    const { code, out } = await skylark(line('topic delete -t Orders --dry-run'))
    expect({ code, out }).toEqual({
      code: 0,
      out: `would be done: topic delete --topic Orders\n  at broker-a (${local.brokerAddr})\nNothing was changed.\n`,
    })
    expect((await skylark(line('topicList'))).out).toContain('Orders')
  })

  test('a person is asked, and a no is a no', async () => {
    const questions: string[] = []
    const confirm = async (question: string) => {
      questions.push(question)
      return false
    }
    const { code, err } = await skylark(line('topic delete -t Orders'), { confirm })
    expect(code).toBe(1)
    expect(questions).toEqual(['Delete a topic and its messages at every broker of a cluster: go on?'])
    expect(err).toMatch(/would be done: topic delete --topic Orders[^]*Nothing was changed/)
    expect((await skylark(line('topicList'))).out).toContain('Orders')
  })

  test('--yes and scripts are not asked', async () => {
    for (const more of [{ confirm: () => Promise.reject(new Error('asked')) }, {}]) {
      await skylark(line('topic update -t Gone'))
      const argv = 'confirm' in more ? 'topic delete -t Gone --yes' : 'deleteTopic -t Gone'
      expect((await skylark(line(argv), more)).code).toBe(0)
    }
  })
})

test('--watch looks again until Ctrl-C, and clears a terminal each time', async () => {
  const stop = new AbortController()
  let shown = ''
  const stdout = (text: string) => {
    shown += text
    if (shown.split('Orders').length > 3) stop.abort()
  }
  const { code } = await skylark(line('topic list --watch 0.1'), { stdout, signal: stop.signal, isTerminal: true })
  expect(code).toBe(0)
  expect(shown.split('\u001b[2J').length).toBeGreaterThan(3)
  expect((await skylark(line('topic list --watch never'))).code).toBe(2)
})

test('colours at a terminal only, and never with NO_COLOR', async () => {
  const at = async (more: Partial<CliWorld>) => (await skylark(line('topic list'), more)).out.includes('\u001b[1m')
  const env = { NAMESRV_ADDR: local.namesrvAddr }
  expect([await at({}), await at({ isTerminal: true }), await at({ isTerminal: true, env: { ...env, NO_COLOR: '1' } })]).toEqual([
    false,
    true,
    false,
  ])
})

describe('settings', () => {
  test('a setting is changed and shown; one that takes effect at a start is refused with the reason', async () => {
    expect((await skylark(line('broker set -k fileReservedTime -v 71'))).out).toBe(`fileReservedTime=71 is set at ${local.brokerAddr}\n`)
    expect((await skylark(line('getBrokerConfig'))).out).toMatch(/^fileReservedTime +71$/m)
    const refused = await skylark(line('broker set -k storePathRootDir -v /elsewhere'))
    expect(refused.code).toBe(1)
    expect(refused.err).toContain('Can not update config in black list. storePathRootDir takes effect at a start')
    expect((await skylark(line('namesrv set -k orderMessageEnable -v true'))).code).toBe(0)
    expect((await skylark(line('namesrv config'))).out).toMatch(/^orderMessageEnable +true$/m)
  })

  test('the permission of a topic, and of all topics of a broker', async () => {
    expect((await skylark(line('topic perm -t Orders -p 4'))).out).toBe('topic Orders at broker-a: perm 6 is now 4\n')
    expect((await skylark(line('topic route -t Orders'))).out).toContain('R--')
    expect((await skylark(line('wipeWritePerm -b nobody'))).code).toBe(1)
    expect((await skylark(line('addWritePerm -b broker-a'))).out).toMatch(/^the write permission of \d+ topics was given$/m)
  })

  test('groups', async () => {
    await skylark(line('group update -g readers -r 3'))
    expect((await skylark(line('group list'))).out).toMatch(/^readers +yes +3 +no$/m)
    expect((await skylark(line('group config -g readers'))).out).toMatch(/^retryMaxTimes +3$/m)
    expect((await skylark(line('group config -g nobody'))).code).toBe(1)
    expect((await skylark(line('broker status'))).out).toMatch(/^brokerVersionDesc +\S+$/m)
  })
})

describe('completion', () => {
  const bash = (script: string, words: readonly string[]): string[] => {
    const file = join(mkdtempSync(join(tmpdir(), 'skylark-completion-')), 'skylark')
    writeFileSync(file, script)
    const ask = `source ${file}; COMP_WORDS=(skylark ${words.map((w) => `'${w}'`).join(' ')}); COMP_CWORD=${words.length}; _skylark; echo "\${COMPREPLY[@]}"`
    return execFileSync('bash', ['-c', ask]).toString().trim().split(' ')
  }

  test('bash offers nouns, verbs, mqadmin’s names and flags', async () => {
    const { out } = await skylark(line('completion bash'))
    expect(bash(out, ['topi'])).toEqual(expect.arrayContaining(['topic', 'topicList']))
    expect(bash(out, ['topic', 'de'])).toEqual(['delete'])
    expect(bash(out, ['topic', 'delete', '--'])).toEqual(expect.arrayContaining(['--topic', '--yes', '--dry-run']))
    expect(bash(out, ['topicRoute', '--w'])).toEqual(['--watch'])
  })

  test.each(['zsh', 'fish'])('%s knows every command', async (shell) => {
    const { out } = await skylark(['completion', shell])
    for (const { noun, verb } of COMMANDS) {
      expect(out).toContain(noun)
      expect(out).toContain(verb)
    }
    expect((await skylark(['completion', 'cmd'])).code).toBe(2)
  })
})

test('the commands that docs/errors.md advises exist', () => {
  const entries: readonly ResponseCodeEntry[] = Object.values(RESPONSE_CODES)
  const advised = entries.flatMap(({ mend = '' }) =>
    [...mend.matchAll(/`skylark ([\w-]+) ([\w-]+)/g)].map(([, noun, verb]) => `${noun} ${verb}`),
  )
  expect(advised.length).toBeGreaterThan(10)
  const known = COMMANDS.map(({ noun, verb }) => `${noun} ${verb}`)
  expect(advised.filter((command) => !known.includes(command))).toEqual([])
})
