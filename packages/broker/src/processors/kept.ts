import type { Reply } from '@skylarkmq/remoting'
import type { MetadataStore } from '@skylarkmq/store'

/** What an operator is told to be done outlives the process: the change is on file before the answer leaves. */
export const kept =
  <A extends unknown[]>({ metadata }: { readonly metadata: MetadataStore }, handler: (...args: A) => Reply<never>) =>
  (...args: A): Reply<never> => {
    const reply = handler(...args)
    metadata.flush()
    return reply
  }
