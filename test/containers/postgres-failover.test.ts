import { readFileSync } from 'node:fs'
import type { StartedNetwork } from 'testcontainers'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { until, zonemesh } from '../e2e/rig.ts'
import { startNetwork } from './container.ts'
import { type PostgresContainer, startPostgres } from './rig.ts'
import {
  holdOf,
  mustWrite,
  policiesOf,
  remove,
  type Scene,
  startScene,
  untilAnswers,
  untilCurrent,
  untilPolicies,
  write,
} from './scene.ts'

let parts: AsyncDisposableStack
let network: StartedNetwork
let primary: PostgresContainer
let standby: PostgresContainer
let scene: Scene

beforeEach(async () => {
  parts = new AsyncDisposableStack()
  network = parts.use(await startNetwork())
  primary = parts.use(await startPostgres({ network, durable: true }))
  standby = parts.use(await startPostgres({ network, durable: true, follows: primary }))
  scene = parts.use(await startScene({ storeUrl: primary.url('mesh') }))
})
afterEach(() => parts.disposeAsync())

const revisionOf = async (server: PostgresContainer): Promise<number> =>
  Number((await server.sql('SELECT revision FROM mesh.head'))[0]?.['revision'])

/** The standby has applied everything that the primary has. */
const untilReplayed = () =>
  until(
    'the standby has replayed everything',
    async () => {
      const at = (await primary.sql('SELECT pg_current_wal_flush_lsn() AS at'))[0]?.['at']
      return (await standby.sql(`SELECT pg_last_wal_replay_lsn() >= '${at}' AS caught_up`))[0]?.['caught_up']
    },
    (caughtUp) => caughtUp === true,
  )

/** The standby becomes the primary, and the balancer leads to it. */
async function promote(): Promise<void> {
  expect((await standby.sql('SELECT pg_promote() AS done'))[0]?.['done']).toBe(true)
  primary.relay.pointTo(standby.place)
}

const untilWritten = (name: string, seconds: number) =>
  until(
    'the global writes again',
    () => write(scene, name, seconds),
    (status) => status < 300,
  )

test('F16 the primary of the database dies and its standby has everything: nothing is lost, nothing is held, and the global goes on', async () => {
  for (const name of ['a', 'b', 'c']) await mustWrite(scene, name, 1)
  await untilPolicies(scene.zone, { a: 1, b: 1, c: 1 })
  await untilReplayed()
  const before = await revisionOf(primary)
  await primary.crash()
  expect(await write(scene, 'during', 1)).toBe(503)
  await promote()
  await untilWritten('after', 1)
  await untilPolicies(scene.zone, { a: 1, b: 1, c: 1, after: 1 })
  await untilCurrent(scene)
  expect(await holdOf(scene)).toBeUndefined()
  expect(scene.exits).toEqual([])
  expect(await revisionOf(standby)).toBeGreaterThan(before)
})

test('F18 the primary of the database dies before its standby has the newest commits: the zone holds, nothing is removed or applied until a release, and then all is current', async () => {
  for (const name of ['kept', 'changed', 'removed']) await mustWrite(scene, name, 1)
  await untilPolicies(scene.zone, { kept: 1, changed: 1, removed: 1 })
  await untilReplayed()
  await standby.disconnect()
  await mustWrite(scene, 'changed', 2)
  await mustWrite(scene, 'lost', 2)
  await remove(scene, 'removed')
  const ofTheTail = { kept: 1, changed: 2, lost: 2 }
  await untilPolicies(scene.zone, ofTheTail)
  await untilCurrent(scene)
  const newest = await revisionOf(primary)
  await primary.crash()
  await standby.connect()
  await promote()
  expect(await revisionOf(standby)).toBeLessThan(newest)

  // What the global had in memory was of the lost history, so it starts again. It notices this without a write.
  await until(
    'the global has ended',
    () => scene.exits,
    (exits) => exits.length === 1,
  )
  expect(scene.exits).toEqual([1])
  expect(readFileSync(`${scene.folder.path}/global.log`, 'utf8')).toMatch(
    /expected revision \d+ with commit \w+, which this process has seen, found .*: its history was rolled back/,
  )
  // More commits than were lost: the revisions alone show nothing.
  for (let seconds = 11; seconds < 20; seconds += 1) await untilWritten('newer', seconds)
  expect(await revisionOf(standby)).toBeGreaterThan(newest)
  const reason = await until(
    'the zone holds',
    async () => {
      expect(await policiesOf(scene.zone)).toEqual(ofTheTail)
      return holdOf(scene)
    },
    (found) => found !== undefined,
    30_000,
  )
  expect(reason).toMatch(/^the store of the global (is rolled back|has another history): /)
  expect(await policiesOf(scene.zone)).toEqual(ofTheTail)
  await untilAnswers(scene.global)
  const ofTheGlobal = { kept: 1, changed: 1, removed: 1, newer: 19 }
  await untilPolicies(scene.global, ofTheGlobal)

  const released = await zonemesh('zone', 'release', 'east', '--address', scene.global)
  expect([released.code, released.stderr]).toEqual([0, ''])
  await untilPolicies(scene.zone, ofTheGlobal)
  await untilCurrent(scene)
})
