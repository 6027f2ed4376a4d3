/**
 * A run of sends: what a socket has brought, frame after frame, becomes records without a return in between. Only for sends to the topic that
 * the caller has named and in which nothing is unusual; at any other frame the run ends, and the caller says what becomes of that one.
 */
import { equal, get32, put64, setWord, word } from './bytes'
import { bodyAtOf, encodeSend } from './record'
import { writeBinaryReply, writeReply } from './reply'
import { scanBinarySend } from './binary-header'
import { scanSend } from './send-header'
import {
  BINARY,
  PROPERTIES_BYTES_MAX,
  PROPERTIES_LENGTH,
  QUEUE_ID,
  RUN_BODY_BYTES_MAX,
  RUN_BYTES,
  RUN_FLAGS_ALLOWED,
  RUN_HOST_FLAGS,
  RUN_KEY_BYTES,
  RUN_MUST_WAIT,
  RUN_NEEDED_BYTES,
  RUN_NEXT_AT,
  RUN_QUEUES,
  RUN_STOP,
  RUN_TOPIC_AT,
  RUN_TOPIC_LENGTH,
  SLOT_BYTES,
  SLOT_PHYSICAL_OFFSET,
  SLOT_QUEUE_OFFSET,
  SLOT_RECORD_AT,
  SLOT_REQUEST_FLAG,
  STAMP_LENGTH,
  STOP_ROOM,
  STOP_TOPIC,
  STOP_UNUSUAL,
  SYS_FLAG,
  TOPIC_AT,
  TOPIC_LENGTH,
  UNIQ_KEY_LENGTH,
  WAITS,
} from '../src/protocol/kernel/layout'

const ONEWAY = 2
/** The serialize type is the upper byte: 0 is JSON, 1 is binary. */
const JSON_BELOW: u32 = 0x1000000

/**
 * Takes whole frames from `at` on, at most `rows`, and lays their records one after another at `recordAt`, in `room` bytes; their queue
 * offsets follow by `putQueueOffsets`. What answers need is in slots from `slot` on. How many; results say where the next frame begins, how many
 * bytes the records have, and why the run ended. With `isScanned` the results of `scanSend` are those of the first frame.
 */
export function takeSends(
  at: usize,
  end: usize,
  recordAt: usize,
  room: i32,
  physicalOffset: f64,
  storeTimestamp: f64,
  slot: usize,
  rows: i32,
  isScanned: bool,
): i32 {
  const bodyBytesMax = word(RUN_BODY_BYTES_MAX)
  const stampLength = word(STAMP_LENGTH)
  const hostFlags = word(RUN_HOST_FLAGS)
  const firstRecordAt = recordAt
  let count = 0
  let keyBytes = 0
  let stop = 0
  while (count < rows && at + 8 <= end) {
    const length = get32(at)
    const typed = <u32>get32(at + 4)
    const headerLength = <i32>(typed & 0xffffff)
    const bodyLength = length - 4 - headerLength
    const next = at + 4 + <usize>length
    // What is no whole frame, or none at all, is not judged here.
    if (length < 4 || typed > 0x1ffffff || bodyLength < 0 || next > end) break
    stop = STOP_UNUSUAL
    if (bodyLength == 0 || bodyLength > bodyBytesMax) break
    if (!isScanned && !(typed < JSON_BELOW ? scanSend(at + 8, headerLength) : scanBinarySend(at + 8, headerLength))) break
    isScanned = false
    const topicLength = word(TOPIC_LENGTH)
    if (topicLength != word(RUN_TOPIC_LENGTH) || !equal(<usize>word(TOPIC_AT), RUN_TOPIC_AT, topicLength)) {
      stop = STOP_TOPIC
      break
    }
    const queueId = word(QUEUE_ID)
    if (queueId >= word(RUN_QUEUES) || (word(WAITS) == 0 && word(RUN_MUST_WAIT) != 0)) break
    const propertiesLength = word(PROPERTIES_LENGTH) + stampLength
    if (propertiesLength > PROPERTIES_BYTES_MAX) break
    const sysFlag = (word(SYS_FLAG) & word(RUN_FLAGS_ALLOWED)) | hostFlags
    const size = <i32>bodyAtOf(0, sysFlag) + bodyLength + (topicLength > 127 ? 4 : 3) + topicLength + propertiesLength
    if (size > room) {
      setWord(RUN_NEEDED_BYTES, size)
      stop = STOP_ROOM
      break
    }
    const bodyAt = at + 8 + <usize>headerLength
    encodeSend(recordAt, size, queueId, sysFlag, 0, physicalOffset, storeTimestamp, bodyAt, bodyLength, slot)
    store<f64>(slot, physicalOffset, SLOT_PHYSICAL_OFFSET)
    store<i32>(slot, <i32>recordAt, SLOT_RECORD_AT)
    keyBytes += word(UNIQ_KEY_LENGTH)
    recordAt += <usize>size
    room -= size
    physicalOffset += <f64>size
    slot += SLOT_BYTES
    at = next
    count++
    stop = 0
  }
  setWord(RUN_NEXT_AT, <i32>at)
  setWord(RUN_BYTES, <i32>(recordAt - firstRecordAt))
  setWord(RUN_KEY_BYTES, keyBytes)
  setWord(RUN_STOP, stop)
  return count
}

/** Writes into the records of a run the queue offsets that the caller has put into its slots. */
export function putQueueOffsets(slot: usize, count: i32): void {
  for (; count > 0; count--, slot += SLOT_BYTES) put64(<usize>load<i32>(slot, SLOT_RECORD_AT) + 20, load<f64>(slot, SLOT_QUEUE_OFFSET))
}

/** Writes the answers to a run one after another at `at`; one-way sends have none. Bytes of all. */
export function writeReplies(slot: usize, count: i32, at: usize): i32 {
  let p = at
  for (; count > 0; count--, slot += SLOT_BYTES) {
    const flag = load<i32>(slot, SLOT_REQUEST_FLAG)
    if ((flag & ONEWAY) != 0) continue
    const queueOffset = load<f64>(slot, SLOT_QUEUE_OFFSET)
    const physicalOffset = load<f64>(slot, SLOT_PHYSICAL_OFFSET)
    const length = (flag & BINARY) != 0 ? writeBinaryReply(slot, p, queueOffset, physicalOffset) : writeReply(slot, p, queueOffset, physicalOffset)
    p += <usize>length
  }
  return <i32>(p - at)
}
