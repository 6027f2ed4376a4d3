import { RocketError } from './rocket-error.ts'

export const badFrame = (sentence: string, cause?: unknown): RocketError => new RocketError(sentence, { code: 'BAD_FRAME', cause })

export const tooManyExtFields = (maxExtFields: number): RocketError =>
  badFrame(`the header has more than ${maxExtFields} ext fields; no request needs so many`)

/** `ext[key] = value` that also holds for `__proto__`. */
export function setOwn(ext: Record<string, string>, key: string, value: string): void {
  if (key === '__proto__') Object.defineProperty(ext, key, { value, enumerable: true, configurable: true, writable: true })
  else ext[key] = value
}
