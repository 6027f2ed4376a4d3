import { deflateSync, inflateSync } from 'node:zlib'
import { parseFastjson } from '../fastjson.ts'
import { asBuffer } from '../message/longs.ts'
import { readTopicConfig, readTopicConfigTable } from './config.ts'
import { asObject, asText, decodeDataVersion, encodeJson, listOf, parseBody, wrong } from './read.ts'
import type { RegisterBrokerBody, TopicConfig } from './types.ts'

/** What a broker tells a NameServer of its topics: JSON, or RocketMQ's compressed form (`RegisterBrokerBody#encode`). */
export const REGISTER_BODY_MAX_BYTES = 256 * 1024 * 1024
const ZLIB_FIRST_BYTE = 0x78

export function encodeRegisterBroker(body: RegisterBrokerBody, options: { readonly compressed?: boolean } = {}): Buffer {
  if (options.compressed !== true) return encodeJson(body)
  const { topicConfigTable, dataVersion } = body.topicConfigSerializeWrapper
  const topics = Object.values(topicConfigTable)
  const parts: Buffer[] = [...sized(encodeJson(dataVersion)), int32(topics.length)]
  for (const topic of topics) parts.push(...sized(Buffer.from(topicLine(topic), 'utf8')))
  // The last number: topics that are static, of which we have none.
  parts.push(...sized(encodeJson(body.filterServerList)), int32(0))
  return deflateSync(Buffer.concat(parts), { level: 9 })
}

const int32 = (value: number): Buffer => {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeInt32BE(value)
  return bytes
}

const sized = (bytes: Buffer): Buffer[] => [int32(bytes.length), bytes]

/** RocketMQ 5.3 `TopicConfig#encode`. */
const topicLine = (t: TopicConfig): string => {
  const line = `${t.topicName} ${t.readQueueNums} ${t.writeQueueNums} ${t.perm} ${t.topicFilterType}`
  return Object.keys(t.attributes).length === 0 ? line : `${line} ${encodeJson(t.attributes).toString()}`
}

/**
 * The header's `compressed` cannot be trusted (RocketMQ 5.3 brokers compress and say they did not): a body that begins as zlib data
 * does is inflated, never beyond `maxBytes`.
 */
export function decodeRegisterBroker(body: Uint8Array, options: { readonly maxBytes?: number } = {}): RegisterBrokerBody {
  if (body[0] === ZLIB_FIRST_BYTE) return decodeCompressed(inflate(body, options.maxBytes ?? REGISTER_BODY_MAX_BYTES))
  const from = parseBody(body, 'RegisterBrokerBody')
  const wrapper = from['topicConfigSerializeWrapper']
  return {
    topicConfigSerializeWrapper: readTopicConfigTable(
      wrapper === undefined || wrapper === null ? {} : asObject(wrapper, 'topicConfigSerializeWrapper'),
    ),
    filterServerList: listOf(from, 'filterServerList', asText),
  }
}

function inflate(body: Uint8Array, maxOutputLength: number): Buffer {
  try {
    return inflateSync(body, { maxOutputLength })
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw wrong(
      `the compressed RegisterBrokerBody of ${body.length} bytes cannot be inflated (limit ${maxOutputLength} bytes): ${why}`,
      cause,
    )
  }
}

class Cursor {
  at = 0
  readonly bytes: Buffer

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  int32(what: string): number {
    if (this.at + 4 > this.bytes.length) throw wrong(`the compressed RegisterBrokerBody is cut short at its ${what}`)
    const value = this.bytes.readInt32BE(this.at)
    this.at += 4
    return value
  }

  block(what: string): Buffer {
    const length = this.int32(`${what} length`)
    if (length < 0 || length > this.bytes.length - this.at) {
      throw wrong(`the ${what} length in the compressed RegisterBrokerBody is ${length}; ${this.bytes.length - this.at} bytes are left`)
    }
    this.at += length
    return this.bytes.subarray(this.at - length, this.at)
  }
}

function decodeCompressed(bytes: Buffer): RegisterBrokerBody {
  const cursor = new Cursor(asBuffer(bytes))
  const dataVersion = decodeDataVersion(cursor.block('data version'))
  const count = cursor.int32('topic count')
  if (count < 0) throw wrong(`the topic count in the compressed RegisterBrokerBody is ${count}; it must not be negative`)
  const topicConfigTable: Record<string, TopicConfig> = Object.create(null)
  for (let i = 0; i < count; i++) {
    const topic = parseTopicLine(cursor.block(`topic ${i + 1}`).toString('utf8'))
    topicConfigTable[topic.topicName] = topic
  }
  const filterServers = parseFastjson(cursor.block('filter server list').toString('utf8'))
  // What follows describes static topics (RocketMQ 5.0): not ours.
  return {
    topicConfigSerializeWrapper: { topicConfigTable, dataVersion },
    filterServerList: listOf({ filterServerList: filterServers }, 'filterServerList', asText),
  }
}

function parseTopicLine(line: string): TopicConfig {
  const [topicName = '', readQueueNums, writeQueueNums, perm, topicFilterType, ...rest] = line.split(' ')
  const attributes = rest.length === 0 ? undefined : parseFastjson(rest.join(' '))
  return readTopicConfig({ topicName, readQueueNums, writeQueueNums, perm, topicFilterType, attributes }, `topic ${topicName}`)
}
