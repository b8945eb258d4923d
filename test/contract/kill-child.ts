import { writeSync } from 'node:fs'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { openPostgresStore } from '@zonemesh/shared/store/postgres.ts'
import { openSqliteStore } from '@zonemesh/shared/store/sqlite.ts'
import type { Commit } from '@zonemesh/shared/store/store.ts'
import { put } from './store-samples.ts'
import { asZone, largeRound } from './zone-store.ts'

// Run by the kill tests: `kill-child.ts <store file, or URL of a database> <n> [large]`. Writes rounds of two parts
// each, or large ones as a zone does, and prints "ack <round>" once a round is acknowledged. Kills itself with SIGKILL
// at the n-th fault point; n = 0 means never.

const [, , place = '', nth = '0', size] = process.argv
let points = 0
const deps = {
  clock: systemClock,
  random: systemRandom,
  log: silentLog,
  faultPoint() {
    points += 1
    if (points === Number(nth)) process.kill(process.pid, 'SIGKILL')
  },
}
const store = await (place.startsWith('postgres')
  ? openPostgresStore(deps, { url: place })
  : openSqliteStore(deps, { path: place }))
const written = size === 'large' ? await asZone(systemClock, store) : store
const small = (round: number): readonly Commit[] => {
  const why = { subject: 'child', intent: `round ${round}` }
  return [
    { ...why, changes: [put('a', round), put('b', round)] },
    { ...why, changes: [put('c', round)] },
  ]
}
for (const round of [1, 2]) {
  const parts = size === 'large' ? largeRound(round) : small(round)
  if ((await written.commitRound(parts)).ok) writeSync(1, `ack ${round}\n`)
}
await store.close()
writeSync(1, `points ${points}\n`)
