import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { openPostgresStore } from '@zonemesh/shared/store/postgres.ts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type PostgresServer, startPostgres } from './postgres-server.ts'
import { put } from './store-samples.ts'

const child = fileURLToPath(new URL('./kill-child.ts', import.meta.url))

/** begin, three versions, before and after the commit. */
const pointsPerRound = 6

let server: PostgresServer
beforeAll(async () => {
  server = await startPostgres({ durable: true })
})
afterAll(() => server[Symbol.asyncDispose]())

function runChild(schema: string, point: number) {
  const args = ['--disable-warning=ExperimentalWarning', child, server.url(schema), String(point)]
  const result = spawnSync(process.execPath, args, { encoding: 'utf8' })
  return {
    killed: result.signal === 'SIGKILL',
    lines: result.stdout.split('\n').filter((line) => line !== ''),
    stderr: result.stderr,
  }
}

/**
 * Checks the content of a store after this number of acknowledged rounds, if it was killed at a point of the next one.
 */
async function expectWholeRounds(schema: string, acknowledged: number, point: number): Promise<void> {
  const deps = { clock: systemClock, random: systemRandom, log: silentLog }
  const store = await openPostgresStore(deps, { url: server.url(schema) })
  try {
    const rounds = (await store.scan({})).map((row) => row.spec['value'])
    const [round = 0] = rounds
    // A round is stored as a whole or not at all, and acknowledged rounds are never lost.
    expect(rounds).toEqual(round === 0 ? [] : [round, round, round])
    const inRound = ((point - 1) % pointsPerRound) + 1
    expect(Number(round) - acknowledged).toBe(inRound === pointsPerRound ? 1 : 0)
    expect((await store.head()).revision).toBe(2 * Number(round))
    expect(await store.mark()).toEqual(await store.head())
    expect(await store.records({ after: 0, limit: 10 })).toHaveLength(2 * Number(round))
    const outcome = await store.commit({ changes: [put('d', 9)], subject: 'parent', intent: 'after the kill' })
    expect(outcome).toMatchObject({ ok: true, position: { revision: 2 * Number(round) + 1 } })
  } finally {
    await store.close()
  }
}

describe('PostgreSQL: kill -9 of a process at every point of a commit', () => {
  it('S11 a PostgreSQL round without a kill passes all points', () => {
    const { killed, lines, stderr } = runChild('whole', 0)
    const all = ['ack 1', 'ack 2', `points ${2 * pointsPerRound}`]
    expect({ killed, lines, stderr }).toEqual({ killed: false, lines: all, stderr: '' })
  })

  it.each(Array.from({ length: 2 * pointsPerRound }, (_, index) => index + 1))(
    'S11 PostgreSQL keeps what was acknowledged after kill -9 at point %i',
    async (point) => {
      const { killed, lines } = runChild(`point_${point}`, point)
      expect(killed).toBe(true)
      await expectWholeRounds(`point_${point}`, lines.length, point)
    },
  )

  it('S11 a server that crashes keeps what was acknowledged', async () => {
    const { lines } = runChild('crash', pointsPerRound + 3)
    await server.crash()
    await server.start()
    await expectWholeRounds('crash', lines.length, pointsPerRound + 3)
  })
})
