#!/usr/bin/env node
// Compiles packages/remoting/assembly (AssemblyScript) to the text that is committed in src/protocol/kernel, so that running from sources needs no
// compiler. A test of tidy holds both equal.
//   npm run kernel             writes it
//   compileKernel()            its bytes
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const SOURCE = 'packages/remoting/assembly/index.ts'
const TARGET = 'packages/remoting/src/protocol/kernel/binary.ts'
const ROOT = join(fileURLToPath(import.meta.url), '../..')
/** Above the results and names that layout.ts places, below the names of properties (NAMES_AT): the compiler refuses what reaches beyond. */
const STATIC_DATA = ['--memoryBase', '720', '--lowMemoryLimit', '1024']

export async function compileKernel() {
  const { main } = await import('assemblyscript/asc')
  let bytes
  const options = ['-O3', '--runtime', 'stub', '--importMemory', '--noAssert', '--enable', 'simd', ...STATIC_DATA]
  const { error, stderr } = await main([SOURCE, '--baseDir', ROOT, '-o', 'kernel.wasm', ...options], {
    writeFile: (_name, contents) => {
      bytes = contents
    },
  })
  if (error) throw new Error(`the kernel cannot be compiled: ${error.message}\n${stderr.toString()}`)
  return Buffer.from(bytes)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = (await compileKernel()).toString('base64')
  const lines = text.match(/.{1,130}/g).map((line) => `  '${line}',`)
  writeFileSync(
    join(ROOT, TARGET),
    `/** Made by \`npm run kernel\` from packages/remoting/assembly; do not edit. */\nexport const KERNEL_BINARY = [\n${lines.join('\n')}\n].join('')\n`,
  )
}
