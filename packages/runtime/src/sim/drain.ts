/**
 * Lets every promise that is ready run. The only real timer of the simulator: a macrotask comes after all microtasks, however many
 * they spawn, and nothing of it depends on how long it takes.
 */
export const drainMicrotasks = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
