import fc from 'fast-check'
import { expect, it } from 'vitest'
import { formatPropertiesFile, parsePropertiesFile, updatePropertiesFile } from '../src/index.ts'

const read = (text: string) => Object.fromEntries(parsePropertiesFile(text))

it.each([
  ['an equals sign', 'a=b', { a: 'b' }],
  ['a colon', 'a:b', { a: 'b' }],
  ['blanks', 'a   b', { a: 'b' }],
  ['a separator with blanks around', '  a \t= b c ', { a: 'b c ' }],
  ['only the first separator', 'addr=127.0.0.1:9876;b=c', { addr: '127.0.0.1:9876;b=c' }],
  ['a key without a value', 'a\nb=', { a: '', b: '' }],
  ['comments', '# one\n  ! two\na=b # stays', { a: 'b # stays' }],
  ['a line that goes on', 'a=1,\\\n   2,\\\n  3\nb=4', { a: '1,2,3', b: '4' }],
  ['a comment sign inside a line that goes on', 'a=1\\\n#2', { a: '1#2' }],
  ['an escaped backslash at the end', 'path=C:\\\\\nb=1', { path: 'C:\\', b: '1' }],
  ['escaped separators in keys', 'a\\=b\\:c\\ d=e', { 'a=b:c d': 'e' }],
  ['unicode and control escapes', 'a=\\u00e9\\t\\n\\q', { a: 'é\t\nq' }],
  ['Windows line ends and a byte-order mark', '\uFEFFa=1\r\nb=2\r\n', { a: '1', b: '2' }],
  ['the later of two equal keys', 'a=1\na=2', { a: '2' }],
  ['a continuation at the end of the file', 'a=1\\', { a: '1' }],
])('reads %s as Java does', (_, text, entries) => {
  expect(read(text)).toEqual(entries)
})

it('reads back whatever it has written', () => {
  const entries = fc.array(fc.tuple(fc.string({ minLength: 1, unit: 'binary' }), fc.string({ unit: 'binary' })))
  fc.assert(
    fc.property(entries, (list) => {
      expect(parsePropertiesFile(formatPropertiesFile(list))).toEqual(new Map(list))
    }),
  )
})

it('changes values in a file and leaves what its owner wrote around them', () => {
  const before = '# our cluster\nlistenPort = 9876\n\n! order\norderMessageEnable=false\nlong=1,\\\n  2\nlast=x'
  const after = updatePropertiesFile(
    before,
    new Map([
      ['orderMessageEnable', 'true'],
      ['long', '3'],
      ['newKey', 'a b'],
    ]),
  )
  expect(after).toBe('# our cluster\nlistenPort = 9876\n\n! order\norderMessageEnable=true\nlong=3\nlast=x\nnewKey=a b\n')
  expect(updatePropertiesFile('', new Map([['a', '1']]))).toBe('a=1\n')
  expect(read(updatePropertiesFile('a=1\na=2\n', new Map([['a', '3']])))).toEqual({ a: '3' })
})
