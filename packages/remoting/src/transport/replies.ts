import { Buffer } from 'node:buffer'
import type { AnyCommand } from '../protocol/command.ts'
import { encodeFrameHead, responseSerializeType } from '../protocol/frame.ts'
import type { Frame, FrameHead, SerializeType } from '../protocol/frame-types.ts'
import { FLAG_RESPONSE, PROTOCOL_VERSION, SERIALIZE_JSON } from '../protocol/frame-types.ts'
import type { JsonHead } from '../protocol/json-head.ts'
import { JSON_HEAD_MAX_BYTES, jsonHeadRoom, NO_FIELDS, writeJsonHead } from '../protocol/json-head.ts'
import { JsonRepeatedHeads } from '../protocol/json-repeated-heads.ts'
import type { ResponseCodeName } from '../protocol/response-code.ts'
import { ResponseCode } from '../protocol/response-code.ts'
import { RocketError } from '../protocol/rocket-error.ts'
import type { Fields } from '../protocol/schema.ts'
import { encodeHeader, HeaderError } from '../protocol/schema.ts'
import type { OutQueue } from './out-queue.ts'
import type { BodyToPut, Reply } from './types.ts'

export const EMPTY_BODY: Buffer = Buffer.alloc(0)

/** The ext field by which an end says that it reads msgpack headers; ours alone. */
export const MSGPACK_EXT = '__MSGPACK'

export interface RequestOfReply {
  readonly opaque: number
  readonly serializeType: SerializeType
}

export interface ReplyOptions {
  /** The request's command, for the header's fields; without it the header's values are written as they are named. */
  readonly command: AnyCommand | undefined
  readonly announceMsgpack: boolean
  readonly frameBytes: number
}

/** Encodes one response frame into the turn's output. Throws when it would be longer than a frame may be. */
export function writeReply(out: OutQueue, request: RequestOfReply, reply: Reply, options: ReplyOptions): void {
  const body = reply.body
  const toPut = body !== undefined && 'putAt' in body ? body : undefined
  let bodyLength = 0
  if (Array.isArray(body)) for (const part of body) bodyLength += (part as Uint8Array).length
  else if (body !== undefined) bodyLength = body.length
  const frame = {
    code: reply.code,
    // A name that every client's parser knows: an unknown one breaks those that parse into an enum.
    language: 'JAVA',
    version: PROTOCOL_VERSION,
    opaque: request.opaque,
    flag: FLAG_RESPONSE,
    remark: reply.remark,
    serializeType: responseSerializeType(request, reply.code),
    bodyLength,
  } as const
  if (!writeInPlace(out, frame, reply, options, toPut)) {
    const head = encodeFrameHead({ ...frame, ext: extOfReply(reply, options) }, bodyLength)
    if (head.length + bodyLength - 4 > options.frameBytes) throw tooLong(head.length + bodyLength, options)
    out.append(head)
    if (toPut !== undefined) putBody(out, toPut)
  }
  if (body instanceof Uint8Array) out.append(body, reply.release)
  else if (Array.isArray(body)) for (const part of body) out.append(part as Uint8Array)
}

function putBody(out: OutQueue, body: BodyToPut): void {
  const { bytes, start } = out.reserve(body.length)
  body.putAt(bytes, start)
}

/** True when the head is one that can be written where it leaves from; a body that is to be put stands behind it then. */
function writeInPlace(
  out: OutQueue,
  frame: FrameHead & JsonHead,
  reply: Reply,
  options: ReplyOptions,
  body: BodyToPut | undefined,
): boolean {
  if (frame.serializeType !== SERIALIZE_JSON || reply.ext !== undefined || options.announceMsgpack) return false
  const fields = options.command?.response as Fields | undefined
  if (reply.header !== undefined && fields === undefined) return false
  const values = (reply.header ?? NO_FIELDS) as Readonly<Record<string, unknown>>
  const declared = reply.header === undefined ? NO_FIELDS : (fields as Fields)
  const bodyRoom = body?.length ?? 0
  const repeated = repeatedHeads(declared)
  const known = repeated.find(values, frame)
  if (known !== undefined) {
    const answerBytes = known.length + frame.bodyLength
    if (answerBytes - 4 > options.frameBytes) throw tooLong(answerBytes, options)
    const { bytes, start } = out.reserve(known.length + bodyRoom)
    bytes.set(known, start)
    body?.putAt(bytes, start + known.length)
    return true
  }
  const headRoom = jsonHeadRoom(declared, values, reply.remark)
  if (headRoom > JSON_HEAD_MAX_BYTES) return false
  const room = headRoom + bodyRoom
  const { bytes, start } = out.reserve(room)
  const end = writeJsonHead(bytes, start, declared, values, frame)
  const answerBytes = end - start + frame.bodyLength
  const isTooLong = answerBytes - 4 > options.frameBytes
  out.giveBack(end < 0 || isTooLong ? room : start + headRoom - end)
  if (isTooLong) throw tooLong(answerBytes, options)
  if (end < 0) return false
  repeated.remember(bytes, start, end, frame)
  body?.putAt(bytes, end)
  return true
}

const REPEATED_HEADS = new WeakMap<Fields, JsonRepeatedHeads>()

function repeatedHeads(fields: Fields): JsonRepeatedHeads {
  let heads = REPEATED_HEADS.get(fields)
  if (heads === undefined) REPEATED_HEADS.set(fields, (heads = new JsonRepeatedHeads(fields)))
  return heads
}

function tooLong(bytes: number, options: ReplyOptions): RocketError {
  const sentence = `the answer would have ${bytes - 4} bytes, and a frame ends at ${options.frameBytes}; ask for less at a time`
  return new RocketError(sentence, { code: 'MESSAGE_ILLEGAL' })
}

function extOfReply(reply: Reply, options: ReplyOptions): Record<string, string> | undefined {
  let ext: Record<string, string> | undefined
  if (reply.header !== undefined) {
    const fields = (options.command?.response as Fields | undefined) ?? undeclaredFields(reply.header)
    ext = encodeHeader(fields, reply.header)
  }
  if (reply.ext !== undefined) ext = { ...ext, ...reply.ext }
  if (options.announceMsgpack) ext = { ...ext, [MSGPACK_EXT]: 'true' }
  return ext
}

const undeclaredFields = (header: object): Fields =>
  Object.fromEntries(Object.keys(header).map((name) => [name, { kind: 'string', optional: true, aliases: [] } as const]))

/** An exception that a person may read, as an answer; undefined for one that they may not (its text is for our log). */
export function replyOfError(error: unknown): Reply | undefined {
  if (error instanceof HeaderError) return { code: ResponseCode.INVALID_PARAMETER, remark: error.message }
  if (!(error instanceof RocketError)) return undefined
  const code = error.brokerCode ?? (error.code in ResponseCode ? ResponseCode[error.code as ResponseCodeName] : undefined)
  return { code: code ?? ResponseCode.SYSTEM_ERROR, remark: error.message }
}

export const describeCommand = (command: AnyCommand): string => `${command.name} (${command.code})`

/** The same frame with a body that outlives the chunk that it came in. */
export function withLastingBody(frame: Frame): Frame {
  if (frame.body.length === 0) return frame
  return { ...frame, body: Buffer.from(frame.body) }
}
