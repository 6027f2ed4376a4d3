import type { ExtFields } from './schema.ts'

export const SERIALIZE_JSON = 0
export const SERIALIZE_ROCKETMQ = 1
/** msgpackr, ours: only between ends that both announced it with the ext field `__MSGPACK` = "true" on an earlier frame. */
export const SERIALIZE_MSGPACK = 2
export type SerializeType = 0 | 1 | 2

export const FLAG_RESPONSE = 1
export const FLAG_ONEWAY = 2

/** Ours on the wire: RocketMQ 5.3.3 (`MQVersion`), which turns on SQL92 and quoted JSON at Java clients. */
export const PROTOCOL_VERSION = 479

/** `LanguageCode` of RocketMQ: the byte of the binary header is the index here. */
export const LANGUAGES = [
  'JAVA',
  'CPP',
  'DOTNET',
  'PYTHON',
  'DELPHI',
  'ERLANG',
  'RUBY',
  'OTHER',
  'HTTP',
  'GO',
  'PHP',
  'OMS',
  'RUST',
  'NODE_JS',
] as const
export type Language = (typeof LANGUAGES)[number]

/** A decoded frame: a value without behaviour. */
export interface Frame {
  readonly code: number
  readonly language: Language
  readonly version: number
  readonly opaque: number
  readonly flag: number
  readonly remark?: string | undefined
  readonly ext?: ExtFields | undefined
  /** Empty when there is none: null and empty are the same on the wire. */
  readonly body: Uint8Array
  readonly serializeType: SerializeType
}

/** A frame whose body, if there, is not looked at. */
export type FrameHead = Omit<Frame, 'body'> & { readonly body?: Uint8Array | undefined }
