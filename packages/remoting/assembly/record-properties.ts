/** What the views need of a record's properties: hashes of its tags and keys. */
import { skipToSeparator, skipToSpace } from './bytes'
import { beginShape, endShape, isOfShape, noteValue } from './shape'
import { hashOf } from './text-hash'
import { KEY_HASHES_AT, KEYS_MAX, RECORD_SHAPE_AT } from '../src/protocol/kernel/layout'

const VALUE_END = 2

// What `scanProperties` found: values of the last property of each name, and where they begin and end in texts of the shape.
let tagsAt: usize = 0
let tagsEnd: usize = 0
let uniqKeyAt: usize = 0
let uniqKeyEnd: usize = 0
let keysAt: usize = 0
let keysEnd: usize = 0
let shapeTagsAt: usize = 0
let shapeTagsEnd: usize = 0
let shapeUniqKeyAt: usize = 0
let shapeUniqKeyEnd: usize = 0
let shapeKeysAt: usize = 0
let shapeKeysEnd: usize = 0

/** Reads the properties of a record. */
export function scanProperties(from: usize, end: usize): void {
  const length = <i32>(end - from)
  if (isOfShape(RECORD_SHAPE_AT, from, length)) {
    tagsAt = from + shapeTagsAt
    tagsEnd = from + shapeTagsEnd
    uniqKeyAt = from + shapeUniqKeyAt
    uniqKeyEnd = from + shapeUniqKeyEnd
    keysAt = from + shapeKeysAt
    keysEnd = from + shapeKeysEnd
    return
  }
  const isRemembered = beginShape(RECORD_SHAPE_AT, from, length)
  tagsAt = tagsEnd = uniqKeyAt = uniqKeyEnd = keysAt = keysEnd = from
  let at = from
  while (at < end) {
    // A byte 0 is text, too.
    let nameEnd = skipToSeparator(at, end)
    while (nameEnd < end && load<u8>(nameEnd) == 0) nameEnd = skipToSeparator(nameEnd + 1, end)
    let valueEnd = nameEnd
    while (valueEnd < end && load<u8>(valueEnd) != VALUE_END) valueEnd = skipToSeparator(valueEnd + 1, end)
    if (nameEnd < valueEnd) {
      if (isRemembered) noteValue(RECORD_SHAPE_AT, nameEnd + 1 - from, valueEnd - from)
      const nameLength = nameEnd - at
      if (nameLength == 4) {
        const name = load<u32>(at)
        // TAGS, KEYS
        if (name == 0x53474154) {
          tagsAt = nameEnd + 1
          tagsEnd = valueEnd
        } else if (name == 0x5359454b) {
          keysAt = nameEnd + 1
          keysEnd = valueEnd
        }
        // UNIQ_KEY
      } else if (nameLength == 8 && load<u64>(at) == 0x59454b5f51494e55) {
        uniqKeyAt = nameEnd + 1
        uniqKeyEnd = valueEnd
      }
    }
    at = valueEnd + 1
  }
  if (!isRemembered) return
  shapeTagsAt = tagsAt - from
  shapeTagsEnd = tagsEnd - from
  shapeUniqKeyAt = uniqKeyAt - from
  shapeUniqKeyEnd = uniqKeyEnd - from
  shapeKeysAt = keysAt - from
  shapeKeysEnd = keysEnd - from
  endShape(RECORD_SHAPE_AT, length)
}

@inline
export function hashTags(): i32 {
  return hashOf(tagsAt, tagsEnd, 0)
}

/** Puts the hashes of the unique key and of each word of KEYS at `KEY_HASHES_AT`: how many, -1 for too many. */
export function hashKeys(seed: i32): i32 {
  let count = 0
  if (uniqKeyEnd > uniqKeyAt) {
    store<i32>(KEY_HASHES_AT, positive(hashOf(uniqKeyAt, uniqKeyEnd, seed)))
    count = 1
  }
  let at = keysAt
  while (at < keysEnd) {
    const wordEnd = skipToSpace(at, keysEnd)
    if (wordEnd > at) {
      if (count == KEYS_MAX) return -1
      store<i32>(KEY_HASHES_AT + (<usize>count << 2), positive(hashOf(at, wordEnd, seed)))
      count++
    }
    at = wordEnd + 1
  }
  return count
}

/** RocketMQ IndexFile#indexKeyHashMethod. */
@inline
function positive(hash: i32): i32 {
  if (hash >= 0) return hash
  return hash == i32.MIN_VALUE ? 0 : -hash
}
