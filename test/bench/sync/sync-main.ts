// npm run bench -- sync [--short] [--out FILE] [--only reconnect,dead,burst,stalled,flood,herd]
import { mkdtempSync, rmSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { type Figure, outFile, writeFigures } from '../figures.ts'
import { measureSync, syncCounts } from './sync.ts'

const args = process.argv.slice(3)
const short = args.includes('--short')
const out = outFile(args, 'sync.json')
const only = args.includes('--only') ? (args[args.indexOf('--only') + 1] ?? '').split(',') : []
const counts = syncCounts(short)
const stop = new AbortController()
process.on('SIGINT', () => stop.abort(new Error('stopped by SIGINT')))
const say = (line: string) => process.stderr.write(`${line}\n`)
const figures: Figure[] = []
const failures: string[] = []
const folder = mkdtempSync(join(tmpdir(), 'zonemesh-bench-'))
try {
  say(`load of the machine: ${loadavg()[0]?.toFixed(1)}`)
  await measureSync({ folder, counts, only, signal: stop.signal, say }, (some) => figures.push(...some))
} catch (thrown) {
  failures.push(messageOf(thrown))
} finally {
  rmSync(folder, { recursive: true, force: true })
}
writeFigures(out, { short, counts, figures, failures })
say(`load of the machine: ${loadavg()[0]?.toFixed(1)}; written to ${out}`)
for (const failure of failures) say(`failed: ${failure}`)
process.exit(failures.length > 0 ? 1 : 0)
