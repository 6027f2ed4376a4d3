import { defineConfig } from 'vitest/config'

const conditions = ['source', 'node', 'import', 'module', 'default']

// `unit` is in memory and fast; `system` has real sockets, files and processes; `interop` has foreign clients and
// servers, which mostly wait for each other.
export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  test: {
    // Asked for by whoever wants docs/compatibility.md written anew.
    ...(process.env['INTEROP_TABLE'] ? { reporters: ['default', './interop/src/compatibility-reporter.ts'] } : {}),
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['packages/*/test/**/*.test.ts', 'simulator/test/*.test.ts', 'tidy/*.test.ts'],
          exclude: ['**/*.node.test.ts', '**/node_modules/**'],
          // Vitest would leave one of a small machine's two cores idle.
          maxWorkers: 2,
          // Modules without state of their own: loaded once for all files instead of once for each.
          isolate: false,
          // Nothing here waits; a slow and busy machine only computes longer.
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'system',
          include: ['packages/*/test/**/*.node.test.ts', 'examples/**/*.test.ts', 'distribution/**/*.test.ts'],
          globalSetup: ['./scripts/test-folder.ts'],
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'interop',
          include: ['interop/**/*.test.ts'],
          globalSetup: ['./scripts/test-folder.ts'],
          maxWorkers: 2,
          maxConcurrency: 10,
          sequence: { groupOrder: 2 },
          testTimeout: 180_000,
          // A JVM may take minutes to start, and gets a second chance.
          hookTimeout: 400_000,
        },
      },
    ],
  },
})
