import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { openPostgresStore } from '@zonemesh/shared/store/postgres.ts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { expectWholeRounds, pointsPerRound, runChild } from './kill.ts'
import { type PostgresServer, startPostgres } from './postgres-server.ts'

let server: PostgresServer
beforeAll(async () => {
  server = await startPostgres({ durable: true })
})
afterAll(() => server[Symbol.asyncDispose]())

const open = (schema: string) =>
  openPostgresStore({ clock: systemClock, random: systemRandom, log: silentLog }, { url: server.url(schema) })

describe('PostgreSQL: kill -9 of a process at every point of a commit', () => {
  it('S11 a PostgreSQL round without a kill passes all points', () => {
    const { killed, lines, stderr } = runChild(server.url('whole'), 0)
    const all = ['ack 1', 'ack 2', `points ${2 * pointsPerRound}`]
    expect({ killed, lines, stderr }).toEqual({ killed: false, lines: all, stderr: '' })
  })

  it.each(Array.from({ length: 2 * pointsPerRound }, (_, index) => index + 1))(
    'S11 PostgreSQL keeps what was acknowledged after kill -9 at point %i',
    async (point) => {
      const { killed, lines } = runChild(server.url(`point_${point}`), point)
      expect(killed).toBe(true)
      await expectWholeRounds(await open(`point_${point}`), lines.length, point)
    },
  )

  it('S11 a server that crashes keeps what was acknowledged', async () => {
    const { lines } = runChild(server.url('crash'), pointsPerRound + 3)
    await server.crash()
    await server.start()
    await expectWholeRounds(await open('crash'), lines.length, pointsPerRound + 3)
  })
})
