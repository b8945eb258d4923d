import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { expect } from 'vitest'
import { put } from './store-samples.ts'

const child = fileURLToPath(new URL('./kill-child.ts', import.meta.url))

/** begin, three versions, before and after the commit. */
export const pointsPerRound = 6

/** Runs a process that writes rounds into a store and kills itself at a point; at point 0 it ends normally. */
export function runChild(place: string, point: number, ...size: readonly string[]) {
  const args = ['--disable-warning=ExperimentalWarning', child, place, String(point), ...size]
  const result = spawnSync(process.execPath, args, { encoding: 'utf8' })
  return {
    killed: result.signal === 'SIGKILL',
    lines: result.stdout.split('\n').filter((line) => line !== ''),
    stderr: result.stderr,
  }
}

/**
 * Checks the content of a store after this number of acknowledged rounds, if its writer was killed at a point of the
 * next one. Closes the store.
 */
export async function expectWholeRounds(store: Store, acknowledged: number, point: number): Promise<void> {
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
