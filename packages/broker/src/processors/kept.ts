import type { Reply } from '@skylarkmq/remoting'
import type { MetadataStore } from '@skylarkmq/store'

/** What an operator is told to be done outlives the process and the power: the change is on the disk before the answer leaves. */
export const kept =
  <A extends unknown[]>({ metadata }: { readonly metadata: MetadataStore }, handler: (...args: A) => Reply<never>) =>
  async (...args: A): Promise<Reply<never>> => {
    const reply = handler(...args)
    await metadata.sync()
    return reply
  }
