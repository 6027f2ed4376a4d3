/** A wrong command line or configuration: shown without a stack, exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
