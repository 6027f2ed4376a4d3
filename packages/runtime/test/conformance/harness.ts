/** Lets time pass until a promise settles: real time on Node, virtual time in a simulated world. */
export type Await = <T>(promise: Promise<T>) => Promise<T>

export interface Deferred<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
}

export const deferred = <T = void>(): Deferred<T> => {
  let resolve!: (value: T) => void
  const promise = new Promise<T>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}

/** The error that a call throws or a promise rejects with. */
export const errorOf = async (work: () => unknown): Promise<Error & { code?: string; path?: string }> => {
  try {
    await work()
  } catch (error) {
    return error as Error
  }
  throw new Error('expected a failure, and there was none')
}
