/**
 * What the house does not keep yet. Entries leave this list and do not join it: a rule that an entry no longer breaks fails until the
 * entry is gone.
 */

/** Files over the limit of lines, with their length. */
export const LONG_FILES: Readonly<Record<string, number>> = {}

/** Offences as `rule path`, with the reason why they stand. */
export const KNOWN_OFFENCES: Readonly<Record<string, string>> = {
  'outside-world packages/client/src/client.ts': 'the default of the address that names this client to brokers, when the caller gives none',
  'outside-world packages/client/src/consumer/push-consumer.ts': 'the default folder of broadcast offsets, as in Apache (user home)',
  'no-any packages/runtime/src/config.ts': 'a record of fields of differing types, whose checks are contravariant in theirs',
}
