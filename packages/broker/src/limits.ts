/** Bounds of everything that grows with what clients send. */
export const LIMITS = Object.freeze({
  /** Pulls that wait for messages, of all queues. */
  heldPulls: 200_000,
  /** Of one queue. */
  heldPullsPerQueue: 10_000,
  /** The longest time that a pull is held, whatever its client asks. */
  holdMs: 300_000,
  /** Subscriptions remembered from pulls without a heartbeat. */
  compensations: 10_000,
  /** Compiled filters remembered. */
  filters: 1_000,
  /** Longer expressions are compiled for each pull. */
  filterCharacters: 4_096,
  /** SQL92 expressions of pulls that stay compiled, all together. */
  sqlCharacters: 262_144,
  /** Messages in one batch of a producer. */
  batchMessages: 65_536,
  /** Bytes that one query brings. */
  queryBytes: 8 * 1024 * 1024,
  /** Queues in one lock request. */
  lockQueues: 65_536,
  /** Queues that an operator may give one topic. */
  topicQueues: 65_536,
  /** Groups and topics whose first offsets are remembered. */
  startPins: 200_000,
  /** Queues of one broadcasting member. */
  memberPins: 10_000,
  /** Queues of groups whose deliveries are remembered, and what of each. */
  journalQueues: 100_000,
  journalEntriesPerQueue: 64,
  journalEntries: 500_000,
  /** Things that are wrong at a time. */
  findings: 10_000,
  /** Hosts that have connected. */
  hostsSeen: 50_000,
  /** Members of a group that are asked which queues they own. */
  membersAsked: 64,
  /** Groups whose members are asked at a time. */
  groupsAsked: 16,
  /** Messages of one delay level that are delivered at a time. */
  scheduleMessages: 256,
  scheduleBytes: 8 * 1024 * 1024,
  /** Scheduled messages that one answer lists. */
  scheduledList: 1_000,
  /** The longest time that a popped message is invisible, whatever its client asks. */
  popInvisibleMs: 24 * 3_600_000,
  /** Messages in flight of one group and queue: with more nothing else of the queue is popped. */
  popInFlightPerQueue: 100_000,
  /** Of all groups. */
  popInFlight: 1_000_000,
  /** Messages that time has made visible again and that are moved at a time. */
  reviveMessages: 256,
  reviveBytes: 4 * 1024 * 1024,
  /** What is in flight for long and written to the log anew at a time. */
  popWrittenAnew: 20_000,
  /** Messages that one batch of acknowledgements names. */
  batchAcks: 65_536,
  /** Topics whose queues on other brokers are remembered. */
  topicRoutes: 10_000,
})
