import { javaStringHash } from '@skylarkmq/remoting/protocol'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FilterCache, parseTags, subscriptionOf } from '../src/groups/subscriptions.ts'
import { subscription } from './support.ts'

/** Few letters, so that tags meet; some hash alike ("Aa" and "BB"). */
const tag = fc.stringMatching(/^[AaBb é]{0,3}$/).map((text) => text.trim())

test('filtering by hash lets through what comparing hashes one by one does, and never withholds a wanted tag', () => {
  fc.assert(
    fc.property(fc.array(tag, { minLength: 1, maxLength: 4 }), fc.array(tag, { maxLength: 20 }), (wanted, messages) => {
      const expression = wanted.join(' || ')
      const named = wanted.filter((text) => text !== '')
      fc.pre(named.length > 0)
      const filter = new FilterCache().tagFilterOf(expression)
      const registered = subscriptionOf({ ...subscription('t'), subString: expression, tagsSet: named }).filter
      for (const text of messages) {
        const code = text === '' ? 0 : javaStringHash(text)
        const isWanted = named.some((name) => javaStringHash(name) === code)
        expect(filter?.(code)).toBe(isWanted)
        expect(registered?.(code)).toBe(isWanted)
        if (named.includes(text)) expect(filter?.(code)).toBe(true)
      }
    }),
  )
})

test('Go sends hashes of UTF-8 bytes: they are computed anew from the tags', () => {
  const { filter } = subscriptionOf({ ...subscription('t', 'Größe'), codeSet: [12345] })
  expect(filter?.(javaStringHash('Größe'))).toBe(true)
  expect(filter?.(12345)).toBe(false)
})

test('* and nothing mean everything', () => {
  expect(parseTags('*')).toEqual([])
  expect(new FilterCache().tagFilterOf(undefined)).toBeUndefined()
  expect(new FilterCache().tagFilterOf('')).toBeUndefined()
})
