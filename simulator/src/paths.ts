/** Where brokers keep their stores. */
export const STORE_PATH = '/store'
export const COMMIT_LOG = `${STORE_PATH}/commitlog`
