import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { expect, test } from 'vitest'
import { whileCommitsGoOn, whileSessionsStay, whileStatusAnswers } from '../../src/chaos/faults/conditions.ts'
import type { Fault } from '../../src/chaos/faults/faults.ts'
import { together } from '../../src/chaos/faults/together.ts'
import type { Scene } from '../../src/chaos/scene.ts'

const fault = (title: string, change: Partial<Fault> = {}): Fault => ({
  title,
  forMs: 1_000,
  run: async () => [],
  prove: () => ({ evidence: [`${title} had an effect`], misses: [] }),
  ...change,
})

/** What faults read of a scene: the state of two zones, and the commits. */
function sceneOf() {
  const clock = createVirtualClock()
  const state = { epoch: 3, silentAfterMs: 100_000, stalledAfterMs: 100_000 }
  /** One event for each second until now. */
  const eachSecond = (endMs: number) =>
    Array.from({ length: 60 }, (_, index) => index * 1_000).filter(
      (atMs) => atMs <= clock.monotonicMs() && atMs < endMs,
    )
  const answeredUntil = (zone: string) => (zone === 'east' ? state.silentAfterMs : 100_000)
  const recorder = {
    now: () => clock.monotonicMs(),
    zone: (zone: string) => eachSecond(100_000).map((atMs) => ({ zone, atMs, answered: atMs < answeredUntil(zone) })),
    newest: (zone: string) => ({ zone, epoch: zone === 'east' ? state.epoch : 7 }),
    history: () => eachSecond(state.stalledAfterMs).map((atMs) => ({ type: 'written', mark: true, atMs })),
  }
  const changes = { count: () => ({ lastFailure: '503 no store' }) }
  const planes = {
    zones: new Map([
      ['east', {}],
      ['west', {}],
    ]),
  }
  // The faults of this file use nothing else of a scene.
  return { clock, state, scene: { recorder, changes, planes } as unknown as Scene }
}

test('B97 faults at the same time must each have an effect, and the period is that of the longest', async () => {
  const { scene } = sceneOf()
  const allowance = { paths: ['/a'], fromMs: 0, untilMs: 1, why: 'it passes a' }
  const both = together([
    fault('one', { forMs: 4_000, prove: () => ({ evidence: ['one'], misses: ['no one'], allowances: [allowance] }) }),
    fault('two', { convergeMs: 30_000, run: async () => ['two is wrong'] }),
  ])
  expect(both).toMatchObject({ title: 'one and two', forMs: 4_000, convergeMs: 30_000 })
  expect(await both.run(scene)).toEqual(['two is wrong'])
  expect(both.prove(scene, 0, 1)).toEqual({
    ...{ evidence: ['one', 'two had an effect'], misses: ['no one'], allowances: [allowance] },
  })
})

test('B97 if one of several faults fails, all of them end before the failure is reported', async () => {
  const { scene } = sceneOf()
  const slow = Promise.withResolvers<void>()
  const ended: string[] = []
  const run = together([
    fault('one', { run: () => Promise.reject(new Error('no container of a service "one"')) }),
    fault('two', {
      async run() {
        await slow.promise
        ended.push('two')
        return []
      },
    }),
  ])
    .run(scene)
    .catch((thrown: unknown) => ended.push(String(thrown)))
  await Promise.resolve()
  expect(ended).toEqual([])
  slow.resolve()
  await run
  expect(ended).toEqual(['two', 'Error: no container of a service "one"'])
})

test.each([
  {
    name: 'a status that is not answered for more than 5 s',
    of: whileStatusAnswers,
    change: { silentAfterMs: 4_000 },
    problem: 'zone east did not answer for its status for 7.0 s, expected at most 5.0 s',
  },
  {
    name: 'commits that stall for more than 5 s',
    of: whileCommitsGoOn,
    change: { stalledAfterMs: 3_000 },
    problem: 'no commit succeeded for 8.0 s, expected at most 5.0 s; the last failure: 503 no store',
  },
  {
    name: 'no commit at all',
    of: whileCommitsGoOn,
    change: { stalledAfterMs: 0 },
    problem: 'no commit succeeded for 10.0 s, expected at most 5.0 s; the last failure: 503 no store',
  },
  {
    name: 'a new session',
    of: whileSessionsStay,
    change: { epoch: 4 },
    problem: 'zone east opened a new session (epoch 3 → 4), expected the same one',
  },
])(
  'B98 a condition of a scenario that does not hold is a problem of its fault: $name',
  async ({ of, change, problem }) => {
    const { clock, scene, state } = sceneOf()
    const broken = of(
      fault('one', {
        async run() {
          clock.advance(10_000)
          Object.assign(state, change)
          return ['its own problem']
        },
      }),
    )
    expect(await broken.run(scene)).toEqual(['its own problem', problem])
  },
)

test('B98 conditions that hold add no problem, and what was wrong before the fault does not count', async () => {
  const { clock, scene } = sceneOf()
  clock.advance(20_000)
  const good = fault('one', {
    async run() {
      clock.advance(10_000)
      return []
    },
  })
  for (const of of [whileStatusAnswers, whileCommitsGoOn, whileSessionsStay])
    expect(await of(good).run(scene)).toEqual([])
})
