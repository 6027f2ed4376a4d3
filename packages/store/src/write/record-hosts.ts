import type { Kernel } from '@skylarkmq/remoting/protocol'

/** The hosts that the kernel writes into records. Most come from the same sender as the one before. */
export class RecordHosts {
  private readonly kernel: Kernel
  private bornHost: Uint8Array | undefined

  constructor(kernel: Kernel) {
    this.kernel = kernel
  }

  use(bornHost: Uint8Array, storeHost: Uint8Array): void {
    if (bornHost === this.bornHost) return
    this.kernel.setHosts(bornHost, storeHost)
    this.bornHost = bornHost
  }
}
