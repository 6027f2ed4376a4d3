import { createRequire } from 'node:module'
import * as zlib from 'node:zlib'
import { RocketError } from '../rocket-error.ts'
import { decodeLz4Frame } from './lz4-frame.ts'
import { asBuffer } from './longs.ts'
import { SYS_FLAG } from './sys-flag.ts'

/**
 * Bodies compressed by producers (RocketMQ 5.3 `CompressorFactory`): zlib everywhere; LZ4 frames and ZSTD only among Java 5 and our
 * own clients. Go, C++ and `ali-ons` read zlib only. Reading LZ4 needs no package.
 */
export type Compression = 'zlib' | 'lz4' | 'zstd'

/** The largest body that is decompressed unless the caller says otherwise: far over RocketMQ's 4 MiB limit. */
export const DECOMPRESSED_MAX_BYTES = 64 * 1024 * 1024
export const COMPRESSION_LEVEL = 5

/** The `sysFlag` bits of a body compressed so. Plain zlib carries no type bits: old clients know none. */
export const COMPRESSION_FLAGS: Readonly<Record<Compression, number>> = Object.freeze({
  zlib: SYS_FLAG.COMPRESSED,
  lz4: SYS_FLAG.COMPRESSED | SYS_FLAG.COMPRESSION_LZ4,
  zstd: SYS_FLAG.COMPRESSED | SYS_FLAG.COMPRESSION_ZSTD,
})

/** How a body with this `sysFlag` is compressed; undefined when it is not, or by a type that nobody knows. */
export function compressionOf(sysFlag: number): Compression | undefined {
  if ((sysFlag & SYS_FLAG.COMPRESSED) === 0) return undefined
  const type = sysFlag & SYS_FLAG.COMPRESSION_MASK
  if (type === 0 || type === SYS_FLAG.COMPRESSION_ZLIB) return 'zlib'
  if (type === SYS_FLAG.COMPRESSION_LZ4) return 'lz4'
  return type === SYS_FLAG.COMPRESSION_ZSTD ? 'zstd' : undefined
}

interface Zstd {
  compress(body: Uint8Array, level: number): Uint8Array
  decompress(body: Uint8Array, maxBytes: number): Uint8Array
}

type ZstdOfNode = {
  readonly zstdCompressSync?: (body: Uint8Array, options: { params: Record<number, number> }) => Buffer
  readonly zstdDecompressSync?: (body: Uint8Array, options: { maxOutputLength: number }) => Buffer
  readonly constants: { readonly ZSTD_c_compressionLevel?: number }
}

type WasmZstd = {
  readonly isLoaded: Promise<boolean>
  compress(body: Uint8Array, level: number): Uint8Array
  decompress(body: Uint8Array, maxBytes: number): Uint8Array
}
type Lz4Napi = { compressFrameSync(body: Uint8Array): Buffer }

let zstd: Zstd | undefined
let lz4: Lz4Napi | undefined

function load(name: string): unknown {
  try {
    return createRequire(import.meta.url)(name)
  } catch {
    return undefined
  }
}

function nodeZstd(): Zstd | undefined {
  const node = zlib as unknown as ZstdOfNode
  const { zstdCompressSync, zstdDecompressSync } = node
  if (zstdCompressSync === undefined || zstdDecompressSync === undefined) return undefined
  const levelKey = node.constants.ZSTD_c_compressionLevel ?? 100
  return {
    compress: (body, level) => zstdCompressSync(body, { params: { [levelKey]: level } }),
    decompress: (body, maxOutputLength) => zstdDecompressSync(body, { maxOutputLength }),
  }
}

/** This decompressor allocates what it is allowed to write, and Java's frames do not tell their size: so allow little at first. */
function growing(wasm: WasmZstd, body: Uint8Array, maxBytes: number): Uint8Array {
  for (let allowed = body.length * 8 + 65536; allowed < maxBytes; allowed *= 8) {
    try {
      return wasm.decompress(body, allowed)
    } catch {
      // Too little room, or broken: the last attempt below tells.
    }
  }
  return wasm.decompress(body, maxBytes)
}

/**
 * Makes LZ4 and ZSTD ready and says which of them can be written and read: ZSTD by Node ≥ 22.15 or the optional package
 * `@foxglove/wasm-zstd`, writing LZ4 by the optional package `lz4-napi`. Call it once before the first message where either is used.
 */
export async function prepareCompression(): Promise<{ readonly zstd: boolean; readonly lz4Write: boolean }> {
  zstd ??= nodeZstd()
  if (zstd === undefined) {
    const wasm = load('@foxglove/wasm-zstd') as WasmZstd | undefined
    if (wasm !== undefined) {
      await wasm.isLoaded
      zstd = { compress: (body, level) => wasm.compress(body, level), decompress: (body, maxBytes) => growing(wasm, body, maxBytes) }
    }
  }
  lz4 ??= load('lz4-napi') as Lz4Napi | undefined
  return { zstd: zstd !== undefined, lz4Write: lz4 !== undefined }
}

function needZstd(): Zstd {
  zstd ??= nodeZstd()
  if (zstd !== undefined) return zstd
  throw new RocketError(
    'ZSTD needs Node 22.15 or later, or on older ones the package @foxglove/wasm-zstd (npm install @foxglove/wasm-zstd, then await prepareCompression())',
    { code: 'BAD_ARGUMENT' },
  )
}

function needLz4(): Lz4Napi {
  lz4 ??= load('lz4-napi') as Lz4Napi | undefined
  if (lz4 !== undefined) return lz4
  throw new RocketError('compressing with LZ4 needs the package lz4-napi (npm install lz4-napi); zlib needs none', { code: 'BAD_ARGUMENT' })
}

export function compressBody(body: Uint8Array, compression: Compression = 'zlib', level = COMPRESSION_LEVEL): Uint8Array {
  if (compression === 'zlib') return zlib.deflateSync(body, { level })
  return compression === 'lz4' ? needLz4().compressFrameSync(asBuffer(body)) : needZstd().compress(body, level)
}

/** The body as the producer gave it; itself when `sysFlag` says it is not compressed. Never more than `maxBytes` are produced. */
export function decompressBody(body: Uint8Array, sysFlag: number, maxBytes = DECOMPRESSED_MAX_BYTES): Uint8Array {
  if ((sysFlag & SYS_FLAG.COMPRESSED) === 0) return body
  const compression = compressionOf(sysFlag)
  if (compression === undefined) {
    throw new RocketError(`the message's sysFlag ${sysFlag} names compression type ${(sysFlag >> 8) & 7}, which is not known`, {
      code: 'MESSAGE_ILLEGAL',
    })
  }
  const decompressor = compression === 'zstd' ? needZstd() : undefined
  try {
    if (compression === 'zlib') return zlib.inflateSync(body, { maxOutputLength: maxBytes })
    return decompressor === undefined ? decodeLz4Frame(asBuffer(body), maxBytes) : decompressor.decompress(body, maxBytes)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new RocketError(`a ${compression} body of ${body.length} bytes cannot be decompressed (limit ${maxBytes} bytes): ${why}`, {
      code: 'MESSAGE_ILLEGAL',
      cause,
    })
  }
}
