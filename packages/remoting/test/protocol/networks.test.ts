import { addressFor, isLoopback, parseAddressRules } from '@skylarkmq/remoting/protocol'
import { describe, expect, test } from 'vitest'

const rules = parseAddressRules(
  '172.17.0.1/32=127.0.0.1:10911; 172.16.0.0/12 = 172.17.0.2 ;2001:db8::/32=fd00::5;0.0.0.0/0=mq.example.com:8000',
  10911,
)

describe('addresses by network', () => {
  test.each([
    ['172.17.0.1', '127.0.0.1:10911'],
    ['172.31.255.255', '172.17.0.2:10911'],
    ['::ffff:172.17.0.9', '172.17.0.2:10911'],
    ['172.32.0.1', 'mq.example.com:8000'],
    ['2001:db8:1::7', '[fd00::5]:10911'],
    ['2001:db9::7', undefined],
    ['some-host', undefined],
  ])('%s is told %s', (host, address) => expect(addressFor(rules, host)).toBe(address))

  test.each(['10.0.0.0/33=a', '10.0.0/8=a', '10.0.0.0/8', '10.0.0.0/8=', '10.0.0.0/x=a', 'here=there', '10.0.0.0/8=a=b'])(
    'the rule %s is refused by name',
    (rule) => expect(() => parseAddressRules(rule, 1)).toThrow(JSON.stringify(rule)),
  )

  test('no rules tell nothing', () => expect(addressFor(parseAddressRules(' ; ', 1), '10.0.0.1')).toBeUndefined())
})

test.each([
  ['127.0.0.1', true],
  ['127.9.9.9', true],
  ['::1', true],
  ['localhost', true],
  ['128.0.0.1', false],
  ['::2', false],
  ['example.com', false],
])('%s is loopback: %s', (host, is) => expect(isLoopback(host)).toBe(is))
