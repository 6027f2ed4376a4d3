import { crc32OfRange } from './crc32.ts'

/** One line of JSON behind a line with its CRC: for small files that say what nothing else says. */
export const withCheck = (json: string): string => `${checkOf(json)}\n${json}\n`

/** What stands behind the check; undefined when it does not fit. A file of an older version, which has none, is taken as it is. */
export function checkedJson(text: string): string | undefined {
  if (text.startsWith('{')) return text
  const [check, json = ''] = text.split('\n')
  return check === checkOf(json) ? json : undefined
}

function checkOf(text: string): string {
  const bytes = Buffer.from(text)
  return crc32OfRange(bytes, 0, bytes.length).toString(16).padStart(8, '0')
}
