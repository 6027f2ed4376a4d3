import { describe, expect, it } from 'vitest'
import { matchesTags, subscriptionData, Subscriptions } from '../../src/consumer/subscriptions.ts'

describe('subscriptions', () => {
  it('are told to brokers as Java tells them', () => {
    expect(subscriptionData('t', 'TagA || TagB||', 5n)).toEqual({
      topic: 't',
      subString: 'TagA || TagB||',
      tagsSet: ['TagA', 'TagB'],
      codeSet: [2598919, 2598920],
      expressionType: 'TAG',
      subVersion: 5n,
      classFilterMode: false,
    })
    for (const all of ['*', '', ' * ']) {
      expect(subscriptionData('t', all, 5n)).toMatchObject({ subString: '*', tagsSet: [], codeSet: [], expressionType: 'TAG' })
    }
    expect(subscriptionData('t', { sql: 'a > 1' }, 5n)).toMatchObject({ subString: 'a > 1', tagsSet: [], expressionType: 'SQL92' })
    expect(subscriptionData('t', { tags: ['a', 'b'] }, 5n)).toMatchObject({ subString: 'a||b', tagsSet: ['a', 'b'] })
  })

  it('get a newer version with every change, also when the clock stands still', () => {
    const subscriptions = new Subscriptions()
    subscriptions.set('t', '*', 100)
    subscriptions.bump('t', 100)
    expect(subscriptions.of('t')?.subVersion).toBe(101n)
    subscriptions.bump('t', 500)
    expect(subscriptions.of('t')?.subVersion).toBe(500n)
  })

  it('match by the name of the tag', () => {
    const some = subscriptionData('t', 'a||b', 1n)
    expect([matchesTags(some, 'a'), matchesTags(some, 'c'), matchesTags(some, undefined)]).toEqual([true, false, false])
    const all = subscriptionData('t', '*', 1n)
    expect([matchesTags(all, 'a'), matchesTags(all, undefined)]).toEqual([true, true])
  })
})
