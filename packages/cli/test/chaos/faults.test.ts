import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { expect, test } from 'vitest'
import { whileCommitsSucceed, whileSessionsStay, whileStatusAnswers } from '../../src/chaos/faults/conditions.ts'
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

/** What faults read of a scene: the state of two zones, and the counts of commits. */
function sceneOf() {
  const clock = createVirtualClock()
  const state = { epoch: 3, failed: 0, committed: 10, silent: false }
  const sample = (zone: string) => ({ zone, answered: !state.silent || zone === 'west', epoch: state.epoch })
  const recorder = {
    now: () => clock.monotonicMs(),
    zone: (zone: string) => [sample(zone)],
    newest: (zone: string) => sample(zone),
  }
  const changes = { count: () => ({ failed: state.failed, committed: state.committed, lastFailure: '503 no store' }) }
  const planes = {
    zones: new Map([
      ['east', {}],
      ['west', {}],
    ]),
  }
  // The faults of this file use nothing else of a scene.
  return { state, scene: { recorder, changes, planes } as unknown as Scene }
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
    name: 'a status that is not answered',
    of: whileStatusAnswers,
    change: { silent: true },
    problem: /zone east did not answer 1 requests for its status/,
  },
  {
    name: 'a commit that fails',
    of: whileCommitsSucceed,
    change: { failed: 2, committed: 11 },
    problem: /2 commits failed, expected none; the last of them: 503 no store/,
  },
  { name: 'no commit at all', of: whileCommitsSucceed, change: {}, problem: /no commit succeeded/ },
  {
    name: 'a new session',
    of: whileSessionsStay,
    change: { epoch: 4 },
    problem: /zone east opened a new session \(epoch 3 → 4\)/,
  },
])(
  'B98 a condition of a scenario that does not hold is a problem of its fault: $name',
  async ({ of, change, problem }) => {
    const { scene, state } = sceneOf()
    const broken = of(
      fault('one', {
        async run() {
          Object.assign(state, change)
          return ['its own problem']
        },
      }),
    )
    const [own, first] = await broken.run(scene)
    expect([own, first]).toEqual(['its own problem', expect.stringMatching(problem)])
  },
)

test('B98 conditions that hold add no problem, and what was wrong before the fault does not count', async () => {
  const { scene, state } = sceneOf()
  Object.assign(state, { failed: 5 })
  const good = fault('one', {
    async run() {
      state.committed += 10
      return []
    },
  })
  for (const of of [whileStatusAnswers, whileCommitsSucceed, whileSessionsStay])
    expect(await of(good).run(scene)).toEqual([])
})
