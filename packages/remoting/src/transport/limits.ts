import type { ServerLimits } from './types.ts'

/** RocketMQ 5.3 `NettyDecoder`: 16 MiB, as the length field says. */
export const FRAME_BYTES = 16 * 1024 * 1024
/** Longest header that is decoded. 32 KiB of properties, each character escaped as six, leave room many times over. */
export const HEADER_BYTES = 2 * 1024 * 1024
/** Longest header that is collected only to answer a frame that is too large. */
export const REFUSED_HEADER_BYTES = 0xffff

/** Output leaves in buffers of this size, one per connection and turn unless replies are larger. */
export const OUT_BUFFER_BYTES = 64 * 1024
/** What is longer than this leaves in one of the large buffers, with what else the turn has for its connection, as long as there are any. */
export const LARGE_OUTPUT_BYTES = 16 * 1024
export const LARGE_OUT_BUFFER_BYTES = 512 * 1024
/** Buffers kept for reuse: 16 MiB. */
export const OUT_BUFFERS_KEPT = 256
/** Body parts up to this size are copied into the output buffer; a longer one is written where it lies. */
export const COPIED_BODY_BYTES = 32 * 1024

/** A partial frame's buffer starts here … */
export const PARTIAL_START_BYTES = 4 * 1024
/** … and is let go after a frame larger than this, so that a connection does not hold the largest frame it ever saw. */
export const PARTIAL_KEPT_BYTES = 256 * 1024

/** A reader that took nothing for so long, while more than twice `unsentBytes` waits for it, is closed. */
export const STALLED_READER_MS = 10_000
/** Unsent bytes, as a multiple of `unsentBytes`, at which a reader is closed even if it reads. */
export const UNSENT_HARD_FACTOR = 16
/** Between looks at idle and stalled connections. */
export const SWEEP_MS = 1_000
/** How long a closing connection may take to send its last bytes. */
export const CLOSE_GRACE_MS = 1_000
/** Unsent bytes of a client's connection at which it refuses further requests. */
export const CLIENT_UNSENT_BYTES = 64 * 1024 * 1024
/** Requests that wait for one connection to be made or answered. */
export const CLIENT_PENDING = 65_535

export const DEFAULT_SERVER_LIMITS: ServerLimits = {
  frameBytes: FRAME_BYTES,
  unsentBytes: 4 * 1024 * 1024,
  unansweredRequests: 4096,
  idleMs: 120_000,
  connections: 16_384,
  extFields: 1024,
}
