import { parseArguments, simulateMany, USAGE } from './src/command-line.ts'

const wish = parseArguments(process.argv.slice(2))
if (typeof wish === 'string') {
  console.error(`${wish}\n\n${USAGE}`)
  process.exitCode = 2
} else {
  const areKept = await simulateMany(wish, { nowMs: () => Date.now(), print: (text) => console.log(text) })
  process.exitCode = areKept ? 0 : 1
}
