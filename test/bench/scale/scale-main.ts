// npm run bench -- scale [--short] [--out FILE]: what zones, changes and rows cost one global, as docs/scale.md lists it.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { table } from '@zonemesh/cli/output/table.ts'
import { outFile } from '../figures.ts'
import { measureRows, measureZones, scaleCounts } from './scale.ts'
import { rowsCells, rowsColumns, zonesCells, zonesColumns } from './scale-table.ts'

const args = process.argv.slice(3)
const short = args.includes('--short')
const out = outFile(args, 'scale.json')
const say = (line: string) => process.stderr.write(`${line}\n`)
const print = (lines: readonly string[]) => process.stdout.write(`${lines.join('\n')}\n\n`)
const folder = mkdtempSync(join(tmpdir(), 'zonemesh-bench-'))
try {
  const load = () => loadavg()[0]?.toFixed(1)
  say(`load of the machine: ${load()}`)
  const run = { folder, counts: scaleCounts(short), say }
  const zones = await measureZones(run)
  print(table(zonesColumns, zones.map(zonesCells)))
  const rows = await measureRows(run)
  print(table(rowsColumns, rows.map(rowsCells)))
  mkdirSync(dirname(out), { recursive: true })
  writeFileSync(out, `${JSON.stringify({ short, zones, rows }, null, 2)}\n`)
  say(`load of the machine: ${load()}; written to ${out}`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
process.exit(0)
