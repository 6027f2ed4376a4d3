import type { ResponseCodeEntry } from '@skylarkmq/remoting/protocol'
import { LOCAL_ERROR_CODES, RESPONSE_CODES } from '@skylarkmq/remoting/protocol'

/** docs/errors.md: every code that a server answers or the client throws. */
export function errorsPage(): string {
  const entries: (readonly [string, ResponseCodeEntry])[] = Object.entries(RESPONSE_CODES)
  return [
    '# Errors',
    '',
    'Generated from `packages/remoting/src/protocol/response-code.ts` and `rocket-error.ts` by `npm run docs`. Do not edit.',
    '',
    'The client throws `RocketError`: `code` is a name of these tables, `brokerCode` the number that a server answered, `retryable` whether',
    'another attempt, perhaps at another broker, may succeed. The message says what happened, with which value, and what to do.',
    '',
    '## Answered by a server',
    '',
    '| number | code | retryable | meaning | what to do |',
    '|---:|---|---|---|---|',
    ...[...entries]
      .sort((a, b) => a[1].code - b[1].code)
      .map(([n, e]) => `| ${e.code} | \`${n}\` | ${e.retryable ? 'yes' : ''} | ${e.sentence} | ${e.mend ?? ''} |`),
    '',
    '## Without an answer',
    '',
    '| code | meaning |',
    '|---|---|',
    ...Object.entries(LOCAL_ERROR_CODES).map(([name, sentence]) => `| \`${name}\` | ${sentence} |`),
    '',
  ].join('\n')
}
