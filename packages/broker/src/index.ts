export { startBroker } from './broker.ts'
export type { Broker, BrokerOptions } from './broker.ts'
export { BROKER_CONFIG, DEFAULT_DELAY_LEVELS } from './config.ts'
export type { BrokerConfig } from './config.ts'
