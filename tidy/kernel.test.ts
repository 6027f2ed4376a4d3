import { expect, it } from 'vitest'
import { compileKernel } from '../scripts/compile-kernel.mjs'
import { KERNEL_BINARY } from '../packages/remoting/src/protocol/kernel/binary.ts'

it('the kernel that is committed is the one that its source makes; after a change: npm run kernel', async () => {
  expect(KERNEL_BINARY).toBe((await compileKernel()).toString('base64'))
}, 120_000)
