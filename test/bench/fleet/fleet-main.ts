// npm run bench -- fleet [--short] [--out FILE]
// Two globals and two processes of a zone over PostgreSQL with real Envoys, first by LISTEN and NOTIFY alone, then with Redis, if
// there is a redis-server in PATH.
import { loadavg } from 'node:os'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { startPostgres } from '../../contract/postgres-server.ts'
import { startReplicaScene } from '../../e2e/replica-scene.ts'
import { type Figure, outFile, writeFigures } from '../figures.ts'
import { measureFaults } from './faults.ts'
import { startRedis } from './redis.ts'
import { measureChanges, measureWriters } from './writes.ts'

const args = process.argv.slice(3)
const short = args.includes('--short')
const out = outFile(args, 'fleet.json')
const counts = short ? { changes: 20, writeMs: 2_000, kills: 1 } : { changes: 300, writeMs: 10_000, kills: 5 }
const say = (line: string) => process.stderr.write(`${line}\n`)
const figures: Figure[] = []
const failures: string[] = []

/** Measures one scene. Only the first one is broken: Redis changes nothing about faults. */
async function measure(how: string, redis: string | undefined): Promise<void> {
  await using server = await startPostgres({ durable: true })
  await using scene = await startReplicaScene({ server, globals: 2, ...(redis === undefined ? {} : { redis }) })
  say(`${how}: route changes`)
  figures.push(...(await measureChanges(scene, how, counts.changes)))
  say(`${how}: writers`)
  for (const perCommit of [1, 100])
    figures.push(await measureWriters(scene, how, { durationMs: counts.writeMs, perCommit }))
  if (redis !== undefined) return
  say('faults')
  figures.push(...(await measureFaults(scene, server, counts.kills)))
}

try {
  say(`load of the machine: ${loadavg()[0]?.toFixed(1)}`)
  await measure('NOTIFY alone', undefined)
  await using redis = await startRedis()
  if (redis) await measure('with Redis', redis.url)
  else say('not measured: Redis; there is no redis-server in PATH')
} catch (thrown) {
  failures.push(messageOf(thrown))
}
writeFigures(out, { short, counts, figures, failures })
say(`load of the machine: ${loadavg()[0]?.toFixed(1)}; written to ${out}`)
for (const failure of failures) say(`failed: ${failure}`)
process.exit(failures.length > 0 ? 1 : 0)
