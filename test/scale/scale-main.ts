// npm run scale -- --zones 1000 --dataplanes 1000000 --changes-per-second 50: one global and a tree of relays at a size
// that no machine here has. The cost model comes from `npm run bench -- scale`.
import { scaleOutput } from './report.ts'

const { lines, error } = scaleOutput(process.argv.slice(2))
if (error !== undefined) process.stderr.write(`scale: ${error}\n`)
for (const line of lines) process.stdout.write(`${line}\n`)
process.exit(error === undefined ? 0 : 2)
