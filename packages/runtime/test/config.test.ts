import { describe, expect, expectTypeOf, it } from 'vitest'
import { defineConfig, parsePropertiesFile, setting } from '../src/index.ts'
import type { ConfigOf } from '../src/index.ts'

const BROKER = defineConfig(
  {
    listenPort: setting.whole({ default: 10911, max: 65535, meaning: 'Port of the broker.' }),
    brokerName: setting.text({ default: '', meaning: 'Name of the broker set.' }),
    storePathRootDir: setting.path({ default: '~/store', meaning: 'Where all files are.' }),
    flushDiskType: setting.choice(['ASYNC_FLUSH', 'SYNC_FLUSH'], { default: 'ASYNC_FLUSH', meaning: 'When a send is answered.' }),
    autoCreateTopicEnable: setting.flag({ default: true, meaning: 'Whether a send may create its topic.' }),
    fileReservedTime: setting.whole({ default: 72, unit: 'hours', meaning: 'How long files stay.' }),
    diskRatio: setting.decimal({ default: 0.75, min: 0, max: 1, meaning: 'How full the disk may be.' }),
  },
  { withoutEffect: ['sendMessageThreadPoolNums'] },
)

describe('a server configuration', () => {
  it('reads a broker.conf that was written for Apache RocketMQ', () => {
    const file = parsePropertiesFile('listenPort = 10931\nbrokerName: broker-b\nflushDiskType=SYNC_FLUSH\nautoCreateTopicEnable=False\n')
    const { config, problems, unknownKeys } = BROKER.parse(file, { home: '/home/ada' })
    expect(problems).toEqual([])
    expect(unknownKeys).toEqual([])
    expect(config).toEqual({
      listenPort: 10931,
      brokerName: 'broker-b',
      storePathRootDir: '/home/ada/store',
      flushDiskType: 'SYNC_FLUSH',
      autoCreateTopicEnable: false,
      fileReservedTime: 72,
      diskRatio: 0.75,
    })
    expect(Object.isFrozen(config)).toBe(true)
    expectTypeOf<ConfigOf<typeof BROKER>['flushDiskType']>().toEqualTypeOf<'ASYNC_FLUSH' | 'SYNC_FLUSH'>()
    expectTypeOf(config.listenPort).toEqualTypeOf<number>()
  })

  it.each([
    ['listenPort', '99999', 'a whole number from 0 to 65535'],
    ['listenPort', '0x20', 'a whole number from 0 to 65535'],
    ['listenPort', '', 'a whole number from 0 to 65535'],
    ['fileReservedTime', '-1', 'a whole number from 0 (hours)'],
    ['fileReservedTime', '48h', 'a whole number from 0 (hours)'],
    ['flushDiskType', 'SOMETIMES', 'one of ASYNC_FLUSH, SYNC_FLUSH'],
    ['autoCreateTopicEnable', 'yes', 'true or false'],
    ['diskRatio', '1.5', 'a number from 0 to 1'],
  ])('says of %s=%s what is allowed', (name, value, allowed) => {
    const { config, problems } = BROKER.parse({ [name]: value })
    expect(problems).toEqual([{ name, value, allowed, message: expect.stringContaining(`${name}=${value}: it must be ${allowed}`) }])
    expect(config).toEqual(BROKER.defaults)
  })

  it.each([
    ['brokrName', 'brokerName'],
    ['listenport', 'listenPort'],
    ['autoCreateTopicEnabled', 'autoCreateTopicEnable'],
    ['fileReservedTiem', 'fileReservedTime'],
    ['sendMessageThreadPoolNum', 'sendMessageThreadPoolNums'],
    ['colour', undefined],
    ['constructor', undefined],
    ['__proto__', undefined],
  ])('warns that nobody knows %s and suggests %s', (name, nearest) => {
    const { unknownKeys } = BROKER.parse([[name, 'x']])
    expect(unknownKeys).toMatchObject([{ name, nearest }])
    expect(unknownKeys[0]?.message).toContain(name)
  })

  it("accepts Apache's keys that tune what does not exist here, and names them", () => {
    expect(BROKER.parse({ sendMessageThreadPoolNums: '4' })).toMatchObject({
      withoutEffect: ['sendMessageThreadPoolNums'],
      unknownKeys: [],
      problems: [],
    })
  })

  it('prints the effective values so that they can be read back', () => {
    const { config } = BROKER.parse({ brokerName: 'a', diskRatio: '0.5' })
    expect(BROKER.effectiveText(config)).toContain('brokerName=a\n')
    expect(BROKER.parse(parsePropertiesFile(BROKER.effectiveText(config))).config).toEqual(config)
  })

  it('changes a running configuration without touching the other values', () => {
    const { config } = BROKER.parse({ brokerName: 'a' })
    expect(BROKER.parse({ listenPort: '1' }, { base: config }).config).toEqual({ ...config, listenPort: 1 })
  })

  it('documents every key', () => {
    const markdown = BROKER.markdown()
    for (const name of Object.keys(BROKER.fields)) expect(markdown).toContain(`\`${name}\``)
    expect(markdown).toContain('| `fileReservedTime` | a whole number from 0 (hours) | `72` | How long files stay. |')
    expect(markdown).toContain('sendMessageThreadPoolNums')
  })
})
