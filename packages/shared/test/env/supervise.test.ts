import { expect, test } from 'vitest'
import { createVirtualClock } from '../../src/env/clock.ts'
import { type BackOff, backOffMs, type Pause, supervise } from '../../src/env/supervise.ts'

async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve()
}

/** Supervises an attempt that fails the first `failuresBefore` times, and records the time of each attempt. */
function createScene(failuresBefore: number, pauses: (failures: number) => Pause = () => ({ waitMs: 100 })) {
  const clock = createVirtualClock()
  const triedAtMs: number[] = []
  const judged: number[] = []
  const stop = new AbortController()
  const healthyAt = new Set<number>()
  const running = supervise(
    clock,
    {
      async attempt(healthy) {
        triedAtMs.push(clock.monotonicMs())
        if (healthyAt.has(triedAtMs.length)) healthy()
        if (triedAtMs.length <= failuresBefore) throw new Error(`failure ${triedAtMs.length}`)
        return 'done'
      },
      judge({ failures }) {
        judged.push(failures)
        return pauses(failures)
      },
    },
    stop.signal,
  )
  // Each test reads the outcome later; until then an unhandled rejection would fail the test.
  running.catch(() => undefined)
  const advance = async (steps: number, byMs: number) => {
    for (let step = 0; step < steps; step += 1) {
      await settle()
      clock.advance(byMs)
    }
    await settle()
  }
  return { clock, triedAtMs, judged, stop, healthyAt, running, advance }
}

test('RT1 an attempt that succeeds is not repeated', async () => {
  const scene = createScene(0)
  expect(await scene.running).toBe('done')
  expect(scene.triedAtMs).toEqual([0])
  expect(scene.judged).toEqual([])
})

test('RT1 an attempt that fails is repeated after the pause that its caller decides, until one succeeds', async () => {
  const scene = createScene(3, (failures) => ({ waitMs: failures * 100 }))
  await scene.advance(10, 100)
  expect(await scene.running).toBe('done')
  expect(scene.triedAtMs).toEqual([0, 100, 300, 600])
})

test('RT2 failures are counted in a row, and a healthy attempt begins the count anew', async () => {
  const scene = createScene(6)
  scene.healthyAt.add(4)
  await scene.advance(10, 100)
  await scene.running
  expect(scene.judged).toEqual([1, 2, 3, 0, 1, 2])
})

test('RT3 a caller that judges a failure as final ends the attempts with an error of its own', async () => {
  const scene = createScene(9, (failures) => {
    if (failures === 3) throw new Error('of no use')
    return { waitMs: 100 }
  })
  await scene.advance(10, 100)
  await expect(scene.running).rejects.toThrow('of no use')
  expect(scene.triedAtMs).toEqual([0, 100, 200])
})

test('RT4 an abort ends a pause and the attempts, and no later failure is judged', async () => {
  const scene = createScene(9)
  await settle()
  scene.stop.abort(new Error('stopped'))
  await expect(scene.running).rejects.toThrow('stopped')
  await scene.advance(10, 100)
  expect(scene.triedAtMs).toEqual([0])
})

test('RT4 a failure after the abort is not judged', async () => {
  const clock = createVirtualClock()
  const stop = new AbortController()
  const judged: unknown[] = []
  const running = supervise(
    clock,
    {
      async attempt() {
        stop.abort(new Error('stopped'))
        throw new Error('cut')
      },
      judge({ cause }) {
        judged.push(cause)
        return { waitMs: 100 }
      },
    },
    stop.signal,
  )
  await expect(running).rejects.toThrow('stopped')
  expect(judged).toEqual([])
})

test('RT5 a caller can end a pause early, and the next one is whole', async () => {
  const hurries: AbortController[] = []
  const scene = createScene(2, () => {
    const hurry = new AbortController()
    hurries.push(hurry)
    return { waitMs: 100, hurry: hurry.signal }
  })
  await scene.advance(3, 10)
  hurries[0]?.abort()
  await scene.advance(15, 10)
  expect(scene.triedAtMs).toEqual([0, 30, 130])
})

test('RT5 a pause of 0 ms needs no timer', async () => {
  const scene = createScene(3, () => ({ waitMs: 0 }))
  expect(await scene.running).toBe('done')
  expect(scene.clock.monotonicMs()).toBe(0)
})

test('RT6 a back-off is random between a minimum and a limit that doubles up to a maximum', () => {
  const plan: BackOff = { minMs: 50, firstMaxMs: 500, maxMs: 5_000, quickTries: 5 }
  const limits = [0, 1, 5, 6, 7, 8, 9, 10, 1_000].map((failures) => backOffMs(plan, failures, 1))
  expect(limits).toEqual([500, 500, 500, 1_000, 2_000, 4_000, 5_000, 5_000, 5_000])
  expect([0, 5, 9].map((failures) => backOffMs(plan, failures, 0))).toEqual([50, 50, 50])
  expect(backOffMs(plan, 6, 0.5)).toBe(525)
  expect([0, 1, 2, 3].map((failures) => backOffMs({ minMs: 10, firstMaxMs: 100, maxMs: 300 }, failures, 1))).toEqual([
    100, 100, 200, 300,
  ])
})
