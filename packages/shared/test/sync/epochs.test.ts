import { expect, test } from 'vitest'
import { createVirtualClock } from '../../src/env/clock.ts'
import { createSeededRandom } from '../../src/env/random.ts'
import { createMemoryStore } from '../../src/store/memory.ts'
import { nextEpoch } from '../../src/sync/epochs.ts'
import type { Hello } from '../../src/sync/log/messages.ts'

/** Opens sessions of one zone. Each has an incarnation, its known reserve, and the count that it requests. */
function createZone() {
  const store = createMemoryStore({ clock: createVirtualClock(), random: createSeededRandom(1) })
  return async (incarnation: number, below: number, count: number) => {
    const hello: Hello = {
      protocol: { min: 1, max: 1, features: [] },
      ...{ storeId: 's', incarnation, host: 'h', startedAtMs: 0, version: 't', position: undefined, creditBytes: 1 },
      ...{ replica: 'r', uncovered: [], reserve: { below, count } },
    }
    return (await nextEpoch(store, 'east', hello)).reserved
  }
}

test('Y41 an incarnation without numbers gets numbers above all former ones, the same at each attempt', async () => {
  const open = createZone()
  expect(await open(1, 0, 100)).toEqual({ below: 100, before: 0 })
  expect(await open(1, 0, 100)).toEqual({ below: 100, before: 0 })
  expect(await open(2, 0, 100)).toEqual({ below: 200, before: 100 })
  expect(await open(2, 0, 100)).toEqual({ below: 200, before: 100 })
  expect(await open(3, 0, 100)).toEqual({ below: 300, before: 200 })
})

test('Y41 a zone that requests more numbers gets them once, and gets the same ones again until it has them', async () => {
  const open = createZone()
  await open(1, 0, 100)
  expect(await open(1, 100, 0)).toEqual({ below: 100, before: 0 })
  expect(await open(1, 100, 50)).toEqual({ below: 150, before: 0 })
  expect(await open(1, 100, 50)).toEqual({ below: 150, before: 0 })
  expect(await open(1, 150, 50)).toEqual({ below: 200, before: 0 })
})

test('Y41 a global that has lost its store takes over what the zone has reserved', async () => {
  const open = createZone()
  expect(await open(7, 300, 0)).toEqual({ below: 300, before: 0 })
  expect(await open(8, 0, 100)).toEqual({ below: 400, before: 300 })
})
