/** Requests as Apache's Java client writes them, made beforehand with room for the numbers that differ from one to the next. */
export interface Template {
  readonly frame: Buffer
  readonly opaqueAt: number
  readonly queueIdAt: number
  readonly queueIdDigits: number
  /** Where the first message's body starts. */
  readonly bodyAt: number
}

export const OPAQUE_BASE = 100_000_000
const OPAQUE_DIGITS = 9
const MAX_QUEUE_ID_DIGITS = 5
/** Without a delay. */
const PROPERTIES = `UNIQ_KEY\u0001AC110001162018B4AAC2${'0'.repeat(12)}\u0002WAIT\u0001true\u0002TAGS\u0001TagA\u0002`

/** One template for each number of digits that a queue id may have; index it by that number. */
export const byDigits = (make: (placeholder: string) => Template): (Template | undefined)[] => [
  undefined,
  ...Array.from({ length: MAX_QUEUE_ID_DIGITS }, (_, i) => make('7'.repeat(i + 1))),
]

function finish(code: number, ext: Record<string, string>, body: Buffer, bodyOffset = 0): Template {
  const header = Buffer.from(
    `{"code":${code},"extFields":${JSON.stringify(ext)},"flag":0,"language":"JAVA","opaque":${OPAQUE_BASE},"serializeTypeCurrentRPC":"JSON","version":479}`,
  )
  const frame = Buffer.alloc(8 + header.length + body.length)
  frame.writeInt32BE(4 + header.length + body.length, 0)
  frame.writeInt32BE(header.length, 4)
  header.copy(frame, 8)
  body.copy(frame, 8 + header.length)
  const queueIdAt = 8 + header.indexOf('"e":"') + 5
  return {
    frame,
    opaqueAt: 8 + header.indexOf(`"opaque":${OPAQUE_BASE}`) + 9,
    queueIdAt,
    queueIdDigits: (ext['e'] as string).length,
    bodyAt: 8 + header.length + bodyOffset,
  }
}

const sendExt = (topic: string, queueId: string, properties: string, isBatch: boolean): Record<string, string> => ({
  a: 'bench',
  b: topic,
  c: 'TBW102',
  d: '4',
  e: queueId,
  f: '0',
  g: '1763724000000',
  h: '0',
  i: properties,
  j: '0',
  k: 'false',
  m: String(isBatch),
})

export function sendTemplate(topic: string, queueId: string, size: number, delayLevel = 0): Template {
  const properties = delayLevel === 0 ? PROPERTIES : `${PROPERTIES}DELAY\u0001${delayLevel}\u0002`
  return finish(310, sendExt(topic, queueId, properties, false), Buffer.alloc(size, 'x'))
}

/** SEND_BATCH_MESSAGE: each message is size, magic, CRC, flag, body, properties (RocketMQ `MessageDecoder#encodeMessage`). */
export function batchTemplate(topic: string, queueId: string, size: number, count: number): Template {
  const properties = Buffer.from(PROPERTIES)
  const message = Buffer.alloc(20 + size + 2 + properties.length)
  message.writeInt32BE(message.length, 0)
  message.writeInt32BE(size, 16)
  message.fill('x', 20, 20 + size)
  message.writeInt16BE(properties.length, 20 + size)
  properties.copy(message, 22 + size)
  const body = Buffer.concat(Array.from({ length: count }, () => message))
  return finish(320, sendExt(topic, queueId, PROPERTIES, true), body, 20)
}

interface PullFrame {
  readonly bytes: Buffer
  readonly offsetAt: number
  readonly offsetDigits: number
}

/**
 * Pulls of a push consumer, by long polling when they follow: no offset to commit, the subscription known by heartbeat. One frame is kept for each
 * opaque, which belongs to one queue: from one pull to the next only the offset differs.
 */
export function pullFrame(
  pulls: { readonly topic: string; readonly maxMessages: number; readonly follows: boolean; readonly expression?: string },
  group: string,
  subVersion: number,
) {
  const { topic, maxMessages, follows, expression } = pulls

  const before = `{"code":11,"extFields":{"queueId":"`
  const between = `","maxMsgNums":"${maxMessages}","sysFlag":"${follows ? 2 : 0}","suspendTimeoutMillis":"15000","commitOffset":"0","topic":"${topic}","queueOffset":"`
  const after = `","expressionType":"${expression === undefined ? 'TAG' : 'SQL92'}","subVersion":"${subVersion}","consumerGroup":"${group}"},"flag":0,"language":"JAVA","opaque":`
  const end = ',"serializeTypeCurrentRPC":"JSON","version":479}'
  const frames: PullFrame[] = []
  const make = (opaque: number, queueId: number, offset: number): PullFrame => {
    const header = Buffer.from(`${before}${queueId}${between}${offset}${after}${OPAQUE_BASE + opaque}${end}`)
    const bytes = Buffer.alloc(8 + header.length)
    bytes.writeInt32BE(4 + header.length, 0)
    bytes.writeInt32BE(header.length, 4)
    header.copy(bytes, 8)
    return { bytes, offsetAt: bytes.indexOf(between) + between.length, offsetDigits: digitsOf(offset) }
  }
  return (out: Buffer, at: number, opaque: number, queueId: number, offset: number): number => {
    let frame = frames[opaque]
    if (frame === undefined || frame.offsetDigits !== digitsOf(offset)) frame = frames[opaque] = make(opaque, queueId, offset)
    else putDigits(frame.bytes, frame.offsetAt, frame.offsetDigits, offset)
    out.set(frame.bytes, at)
    return at + frame.bytes.length
  }
}

/** Writes what differs into a copy of the template's frame at `at`. */
export function putNumbers(out: Buffer, at: number, template: Template, opaque: number, queueId: number): void {
  putDigits(out, at + template.opaqueAt, OPAQUE_DIGITS, OPAQUE_BASE + opaque)
  putDigits(out, at + template.queueIdAt, template.queueIdDigits, queueId)
}

export function digitsOf(value: number): number {
  let digits = 1
  for (let limit = 10; value >= limit; limit *= 10) digits++
  return digits
}

function putDigits(out: Buffer, at: number, count: number, value: number): void {
  let rest = value
  for (let p = at + count - 1; p >= at; p--) {
    const next = Math.floor(rest / 10)
    out[p] = 0x30 + rest - next * 10
    rest = next
  }
}
