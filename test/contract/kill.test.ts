import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { openSqliteStore } from '@zonemesh/shared/store/sqlite.ts'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { expectWholeRounds, pointsPerRound, runChild } from './kill.ts'
import { asZone, largeRound, largeRows } from './zone-store.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'zonemesh-kill-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe('SQLite: kill -9 at every point of a commit', () => {
  it('S11 a SQLite round without a kill passes all points', () => {
    const { killed, lines, stderr } = runChild(join(folder, 'store.db'), 0)
    expect({ killed, lines, stderr }).toEqual({
      killed: false,
      lines: ['ack 1', 'ack 2', `points ${2 * pointsPerRound}`],
      stderr: '',
    })
  })

  it.each(Array.from({ length: 2 * pointsPerRound }, (_, index) => index + 1))(
    'S11 SQLite keeps what was acknowledged after kill -9 at point %i',
    async (point) => {
      const path = join(folder, 'store.db')
      const { killed, lines } = runChild(path, point)
      expect(killed).toBe(true)
      const deps = { clock: systemClock, random: systemRandom, log: silentLog }
      await expectWholeRounds(await openSqliteStore(deps, { path }), lines.length, point)
    },
  )
})

describe('SQLite: kill -9 within a round of 2,500 rows of a zone', () => {
  it.each([1, 999, 1_000, 2_000, 2_501, 4_000])(
    'S1 after kill -9 at point %i of a round, nothing of the round exists',
    async (point) => {
      const path = join(folder, 'store.db')
      expect(runChild(path, point, 'large')).toMatchObject({ killed: true, lines: [] })
      const deps = { clock: systemClock, random: systemRandom, log: silentLog }
      const store = await openSqliteStore(deps, { path })
      try {
        expect((await store.head()).revision).toBe(0)
        expect(await store.scan({})).toEqual([])
        const zone = await asZone(systemClock, store)
        expect(await zone.commitRound(largeRound(1))).toMatchObject({ ok: true })
        expect(await zone.scan({ kind: 'Dataplane' })).toHaveLength(largeRows)
        expect(await zone.scan({ kind: 'AvailableService' })).toHaveLength(1_200)
      } finally {
        await store.close()
      }
    },
  )
})
