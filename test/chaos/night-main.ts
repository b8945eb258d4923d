// npm run chaos:night [-- SEED…]: all scenarios in the fleet, with the seeds 1 to 10 or those that are given. Writes the
// verdict of each seed as a page and as JSON into chaos-results/, and exits with 1 if one of them failed.
import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fleetProject, startFleet } from '@zonemesh/cli/chaos/fleet-up.ts'

const root = resolve(import.meta.dirname, '../..')
const folder = join(root, 'chaos-results')
const given = process.argv.slice(2)
const wrong = given.find((word) => !/^\d+$/.test(word))
if (wrong !== undefined) throw new Error(`expected seeds as whole numbers, found "${wrong}"`)
const seeds = given.length > 0 ? given : Array.from({ length: 10 }, (_, index) => String(index + 1))

mkdirSync(folder, { recursive: true })
const signal = new AbortController()
process.once('SIGINT', () => signal.abort())
const remove = await startFleet((line) => process.stderr.write(`${line}\n`), signal.signal)
const failed: string[] = []
try {
  for (const seed of seeds) {
    if (signal.signal.aborted) break
    process.stdout.write(`\n== seed ${seed}\n`)
    const files = ['--html', join(folder, `seed-${seed}.html`), '--json', join(folder, `seed-${seed}.json`)]
    const words = ['chaos', 'suite', '--compose', fleetProject, '--seed', seed, ...files]
    const { status } = spawnSync(join(root, 'bin/zonemesh'), words, { stdio: 'inherit' })
    if (status !== 0) failed.push(seed)
  }
} finally {
  await remove?.()
}
const outcome = failed.length === 0 ? 'every guarantee held with each of them' : `failed with ${failed.join(', ')}`
process.stdout.write(`\n${seeds.length} seeds: ${outcome}; the pages are in ${folder}\n`)
process.exitCode = failed.length === 0 && !signal.signal.aborted ? 0 : 1
