import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { createMemoryContents, createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { type Epoch, newestEpochs, nextEpoch } from '@zonemesh/shared/sync/epochs.ts'
import type { Hello } from '@zonemesh/shared/sync/log/messages.ts'
import { expect, it } from 'vitest'

const hello = (replica: string): Hello => ({
  protocol: { min: 1, max: 1, features: [] },
  storeId: 'zone-store',
  incarnation: 1,
  host: 'h',
  startedAtMs: 0,
  version: 't',
  position: undefined,
  creditBytes: 1,
  replica,
  uncovered: [],
})

/** Steps of the store, one at a time: a caller waits until the schedule admits it. */
function stepped(store: Store) {
  const waiting: (() => void)[] = []
  const wait = () => new Promise<void>((resolve) => waiting.push(resolve))
  const view: Store = Object.assign(Object.create(store), {
    get: async (key: Parameters<Store['get']>[0]) => {
      await wait()
      return store.get(key)
    },
    commitRound: async (...round: Parameters<Store['commitRound']>) => {
      await wait()
      return store.commitRound(...round)
    },
  })
  return { view, waiting }
}

const settle = async () => {
  for (let turn = 0; turn < 30; turn += 1) await Promise.resolve()
}

/** One schedule: at each step, a bit selects which of two replicas continues, if it has something to do. */
async function play(schedule: number, steps: number): Promise<void> {
  const deps = { clock: createVirtualClock(), random: createSeededRandom(1) }
  const contents = createMemoryContents(deps)
  const stores = [createMemoryStore(deps, { contents }), createMemoryStore(deps, { contents })]
  const sides = stores.map(stepped)
  const got: (Epoch | undefined)[] = [undefined, undefined]
  sides.forEach(({ view }, index) => {
    void nextEpoch(view, 'west', hello(`r${index}`)).then((epoch) => {
      got[index] = epoch
    })
  })
  await settle()
  for (let step = 0; step < steps || got.includes(undefined); step += 1) {
    const chosen = sides[(schedule >> step) & 1]?.waiting.length ? (schedule >> step) & 1 : 1 - ((schedule >> step) & 1)
    sides[chosen]?.waiting.shift()?.()
    await settle()
  }
  const [first, second] = got
  const [store] = stores
  if (!first || !second || !store) throw new Error('both replicas get an epoch')
  expect(first.epoch).not.toBe(second.epoch)
  const older = first.epoch < second.epoch ? first : second
  const newer = first.epoch < second.epoch ? second : first
  const newest = await newestEpochs(store)
  const isNewest = (epoch: number) => newest.get('west') === epoch
  expect([isNewest(older.epoch), isNewest(newer.epoch)]).toEqual([false, true])
  const write = (epoch: Epoch) => store.commit({ changes: [epoch.guard], subject: 's', intent: 'i' })
  expect([(await write(older)).ok, (await write(newer)).ok]).toEqual([false, true])
}

it('Y4 if two replicas open a session of one zone, exactly one may write, in every order of their steps', async () => {
  const steps = 8
  for (let schedule = 0; schedule < 2 ** steps; schedule += 1) await play(schedule, steps)
  console.info(`epochs: ${2 ** steps} schedules`)
})
