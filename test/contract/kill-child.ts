import { writeSync } from 'node:fs'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { openPostgresStore } from '@zonemesh/shared/store/postgres.ts'
import { openSqliteStore } from '@zonemesh/shared/store/sqlite.ts'
import { put } from './store-samples.ts'

// Run by the kill tests: `kill-child.ts <store file, or URL of a database> <n>`. Writes rounds of two commits each, in one transaction, and prints
// "ack <round>" once a round is acknowledged. Kills itself, as by kill -9, at the n-th fault point; n = 0 never.

const [, , place = '', nth = '0'] = process.argv
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
for (const round of [1, 2]) {
  const why = { subject: 'child', intent: `round ${round}` }
  const first = store.commit({ ...why, changes: [put('a', round), put('b', round)], mark: false })
  const second = store.commit({ ...why, changes: [put('c', round)] })
  const outcomes = await Promise.all([first, second])
  if (outcomes.every((outcome) => outcome.ok)) writeSync(1, `ack ${round}\n`)
}
await store.close()
writeSync(1, `points ${points}\n`)
