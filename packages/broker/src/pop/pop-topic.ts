/** What happens to popped messages, in order. Apache has no such topic and leaves it alone. */
export const POP_LOG_TOPIC = 'rmq_sys_pop_in_flight'
