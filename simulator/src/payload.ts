/** Everything of a message follows from its id, so that whoever receives it can tell whether it is as it was sent. */

const TAGS = ['red', 'green', 'blue'] as const

/** FNV-1a. */
export function hashOf(text: string): number {
  let state = 0x811c9dc5
  for (let i = 0; i < text.length; i++) state = Math.imul(state ^ text.charCodeAt(i), 0x01000193)
  return state >>> 0
}

export const tagsOf = (id: string): string => TAGS[hashOf(id) % TAGS.length] as string

/** Words by which a message can be found: its id; for state that replaces older state, what it is the state of. */
export const keysOf = (id: string): string => (id.startsWith('price-') ? `article-${hashOf(id) % 7}` : id)

/** The id, then bytes that depend on it: mostly few, sometimes some thousand. Below what producers compress. */
export function bodyOf(id: string): Buffer {
  const hash = hashOf(id)
  const extra = hash % 11 === 0 ? hash % 3500 : hash % 120
  const body = Buffer.alloc(id.length + 1 + extra)
  body.write(`${id}|`, 'latin1')
  let state = hash | 1
  for (let i = id.length + 1; i < body.length; i++) {
    state = Math.imul(state, 0x01000193) ^ (state >>> 15)
    body[i] = state & 0xff
  }
  return body
}

/** The id that a body begins with; undefined when it is none of ours. */
export function idIn(body: Uint8Array): string | undefined {
  const end = body.indexOf(0x7c)
  return end <= 0 || end > 64 ? undefined : Buffer.from(body.buffer, body.byteOffset, end).toString('latin1')
}

/** What differs from the message as it was sent; undefined when nothing does. */
export function differenceFrom(id: string, body: Uint8Array, tags: string | undefined, keys: string | undefined): string | undefined {
  const expected = bodyOf(id)
  if (expected.compare(body) !== 0) return `the body has ${body.length} bytes, sent were ${expected.length}, or bytes differ`
  if (tags !== tagsOf(id)) return `the tag is ${tags}, sent was ${tagsOf(id)}`
  if (keys !== keysOf(id)) return `the keys are ${keys}, sent were ${keysOf(id)}`
  return undefined
}
