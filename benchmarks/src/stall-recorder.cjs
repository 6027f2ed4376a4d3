// Loaded into a broker before all else (node --require) by benchmarks/stalls.ts: times what the main thread does in one go (what came from a
// socket, the end of a turn, a timer), in it the calls to files and sockets, collections of garbage, and how long the thread was ready while
// the machine ran something else (Linux: /proc/self/schedstat). SIGUSR2 begins to count; the next one writes what was counted.
'use strict'
if (process.argv.includes('broker')) record(process.env.BENCH_STALLS)

function record(path) {
  const fs = require('node:fs')
  const net = require('node:net')
  const { performance, PerformanceObserver } = require('node:perf_hooks')
  const { readSync, openSync, writeFileSync } = fs
  const STALL_MS = 1
  const scheduling = openSync('/proc/self/schedstat', 'r')
  const text = Buffer.alloc(64)
  /** Milliseconds for which the thread has been ready and not run. */
  const waited = () => Number(text.toString('latin1', 0, readSync(scheduling, text, 0, 64, 0)).split(' ')[1]) / 1e6
  let counted
  let isInside = false
  let parts = {}
  let lastWaited = waited()

  const inner = (what, work) => {
    const began = performance.now()
    try {
      return work()
    } finally {
      parts[what] = (parts[what] ?? 0) + performance.now() - began
    }
  }
  const outer = (what, work) => {
    if (isInside || counted === undefined) return work()
    isInside = true
    parts = {}
    const before = waited()
    const began = performance.now()
    // Between its being woken and its running.
    const late = before - lastWaited
    if (late > STALL_MS) counted.stalls.push({ what: 'wake-up', beganMs: began - late, ms: late, waitedMs: late, parts: {} })
    try {
      return work()
    } finally {
      isInside = false
      const ms = performance.now() - began
      lastWaited = waited()
      counted.turns++
      counted.busyMs += ms
      if (ms > STALL_MS) counted.stalls.push({ what, beganMs: began, ms, waitedMs: lastWaited - before, parts })
    }
  }

  for (const name of Object.keys(fs)) {
    const original = fs[name]
    if (!name.endsWith('Sync') || typeof original !== 'function') continue
    fs[name] = function (...args) {
      return inner('files', () => original.apply(this, args))
    }
  }
  const { setImmediate, setTimeout } = globalThis
  globalThis.setImmediate = (task, ...args) => setImmediate(() => outer('end of a turn', () => task(...args)))
  globalThis.setTimeout = Object.assign((task, ms, ...args) => setTimeout(() => outer('timer', () => task(...args)), ms), setTimeout)
  const { Socket } = net
  net.Socket = new Proxy(Socket, {
    construct(target, args) {
      const onread = args[0]?.onread
      if (onread) {
        const { callback } = onread
        onread.callback = (...read) => outer('requests', () => callback(...read))
      }
      return Reflect.construct(target, args)
    },
  })
  const { _writeGeneric } = Socket.prototype
  Socket.prototype._writeGeneric = function (...args) {
    return inner('sockets', () => _writeGeneric.apply(this, args))
  }
  new PerformanceObserver((list) => {
    if (counted !== undefined) for (const { startTime, duration } of list.getEntries()) counted.collections.push([startTime, duration])
  }).observe({ entryTypes: ['gc'] })

  process.on('SIGUSR2', () => {
    if (counted === undefined) {
      lastWaited = waited()
      counted = { beganMs: performance.now(), beganWaited: lastWaited, turns: 0, busyMs: 0, stalls: [], collections: [] }
      return
    }
    writeFileSync(path, JSON.stringify({ ...counted, endedMs: performance.now(), waitedMs: waited() - counted.beganWaited }))
    counted = undefined
  })
}
