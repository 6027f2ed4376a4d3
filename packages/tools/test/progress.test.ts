/** What a person sees of work that takes long; and that nobody else sees anything. */
import { expect, test } from 'vitest'
import { drawProgress } from '../src/progress.ts'

function line(total?: number) {
  const screen = { now: 0, text: '' }
  const progress = drawProgress({
    ...(total === undefined ? {} : { total }),
    what: 'reading',
    write: (text) => void (screen.text += text),
    now: () => screen.now,
  })
  return { screen, progress }
}

test('what is soon done shows nothing, and takes nothing away', () => {
  const { screen, progress } = line(10)
  for (let i = 0; i < 10; i++) progress.done()
  progress.end()
  expect(screen.text).toBe('')
})

test('what takes long says how far it is, ten times a second at most, and leaves an empty line', () => {
  const { screen, progress } = line(200)
  for (screen.now = 0; screen.now < 1000; screen.now += 10) progress.done()
  const drawn = screen.text.split('\r\u001b[K').slice(1)
  expect(drawn).toHaveLength(6)
  expect(drawn[0]).toBe('reading █████░░░░░░░░░░░░░░░░░░░ 20 % (41 of 200)')
  progress.end()
  expect(screen.text.endsWith('\r\u001b[K')).toBe(true)
})

test('more turns out to be to do: the bar goes back', () => {
  const { screen, progress } = line()
  screen.now = 500
  progress.more(10)
  screen.now = 600
  progress.done(5)
  screen.now = 700
  progress.more(10)
  expect([...screen.text.matchAll(/\d+ %/g)].map(([share]) => share)).toEqual(['0 %', '50 %', '25 %'])
})

test('work that knows itself where it is, in words of its own', () => {
  let text = ''
  let now = 0
  const gigabytes = (bytes: number) => `${bytes / 1e9} GB`
  const progress = drawProgress({ what: 'log', amount: gigabytes, write: (more) => void (text += more), now: () => now })
  now = 1000
  progress.at(3e9, 4e9)
  expect(text).toContain('75 % (3 GB of 4 GB)')
})
