/** What goes on beside sending and consuming. `retention`: the log loses its oldest files. */
export type Extra = 'timers' | 'transactions' | 'pops' | 'compaction' | 'retention'
export const EXTRAS: readonly Extra[] = ['timers', 'transactions', 'pops', 'compaction', 'retention']
