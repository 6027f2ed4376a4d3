/** Encoded route answers kept in memory; the oldest go first. 10,000 topics on 100 brokers would need some 200 MB. */
export const ROUTE_CACHE_BYTES = 64 * 1024 * 1024
/** A broker that names no limit of its own is given up after this silence (RocketMQ 5.3 `RouteInfoManager`). */
export const BROKER_SILENCE_MS = 120_000
/** KV settings of one NameServer, together. */
export const KV_CONFIG_BYTES = 16 * 1024 * 1024
/** Topics that are being created on demand at one time (createTopicOnRouteQuery). */
export const TOPIC_CREATIONS_AT_ONCE = 64
/** How long a route query waits for the creation of its topic. */
export const TOPIC_CREATION_MS = 2_000
/** How often it looks whether the brokers have registered the topic. */
export const REGISTRATION_POLL_MS = 10
/** Brokers with addresses by network. */
export const ADVERTISED_BROKERS = 10_000
/** Connections whose route queries are remembered, and topics of each. */
export const ROUTE_READERS = 50_000
export const ROUTE_READER_TOPICS = 32
/** Clients that one answer names. */
export const ROUTE_READERS_TOLD = 1_000
