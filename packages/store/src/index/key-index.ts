import type { Disk } from '@skylarkmq/runtime'
import type { DispatchRecord, DispatchTarget } from '../dispatch/dispatch-target.ts'

export interface IndexPosition {
  readonly sequence: number
  readonly entries: number
}

export class KeyIndex implements DispatchTarget {
  constructor(_disk: Disk, _directory: string) {}
  load(_position: IndexPosition | undefined): void {}
  dispatch(_record: DispatchRecord): void {}
  query(_hash: number, _max: number, _beginMs: number, _endMs: number, _accept: (physicalOffset: number) => boolean): number[] {
    return []
  }
  write(): IndexPosition {
    return { sequence: 0, entries: 0 }
  }
  expireBefore(_minPhysicalOffset: number): void {}
  async sync(): Promise<void> {}
  close(): void {}
}
