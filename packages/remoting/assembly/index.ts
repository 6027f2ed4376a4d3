/** What the kernel offers. Compiled by `npm run kernel`; memory is imported, so that the caller decides what lies in it. */
export { addName, scanBatch, scanSend } from './send-header'
export { copy } from './bytes'
export { isAsWritten, recordDigest } from './record'
export { encodeBatch, measureBatch } from './batch'
export { putQueueOffsets, takeSends, writeReplies } from './run'
export { deriveRun } from './derive'
export { pickRecords, putPicks } from './pick'
export { crc32, makeTables } from './crc32'
