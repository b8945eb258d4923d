import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createVirtualClock } from '../../src/env/clock.ts'
import { silentLog } from '../../src/env/log.ts'
import { createSeededRandom } from '../../src/env/random.ts'
import {
  joinElection,
  type Lead,
  type Leadership,
  leadAlone,
  lookEveryMs,
  onLead,
  whileLeading,
} from '../../src/leader/election.ts'
import { electionStep, type Watch } from '../../src/leader/step.ts'
import { createMemoryContents, createMemoryStore } from '../../src/store/memory.ts'
import type { Store } from '../../src/store/store.ts'

const settle = async () => {
  for (let turn = 0; turn < 40; turn += 1) await Promise.resolve()
}

/** Processes over one store. Each has a clock of its own, which only `run` moves, so a process that is not run is paused. */
function createFleet() {
  const deps = { clock: createVirtualClock(1_000), random: createSeededRandom(1) }
  const contents = createMemoryContents(deps)
  let started = 0
  return {
    start() {
      started += 1
      const instance = `p${started}`
      const clock = createVirtualClock(started * 1_000_000)
      const store = createMemoryStore(deps, { contents })
      const state = { isDown: false }
      const reachable: Store = Object.assign(Object.create(store), {
        get: async (...args: Parameters<Store['get']>) => {
          if (state.isDown) throw new Error('the store is away')
          return store.get(...args)
        },
      })
      const leadership = joinElection({ store: reachable, clock, log: silentLog }, { origin: 'west', instance })
      return { instance, clock, store, leadership, state }
    },
  }
}
type Process = ReturnType<ReturnType<typeof createFleet>['start']>

async function run(process: Process, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += lookEveryMs / 4) {
    process.clock.advance(lookEveryMs / 4)
    await settle()
  }
}

async function runAll(processes: readonly Process[], ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += lookEveryMs / 4) {
    for (const process of processes) process.clock.advance(lookEveryMs / 4)
    await settle()
  }
}

const mayWrite = async ({ leadership, store }: Process): Promise<boolean> => {
  const guards = leadership.lead.value?.guards
  return guards !== undefined && (await store.commit({ changes: guards, subject: 's', intent: 'i' })).ok
}

const leads = (processes: readonly Process[]) =>
  processes.filter(({ leadership }) => leadership.lead.value).map(({ instance }) => instance)

test('ZR1 the first process leads, and the others follow it', async () => {
  const fleet = createFleet()
  const all = [fleet.start(), fleet.start(), fleet.start()]
  await runAll(all, 1_000)
  expect(leads(all)).toHaveLength(1)
  expect(new Set(all.map(({ leadership }) => leadership.leader()))).toEqual(new Set(leads(all)))
})

test('ZR2 another process leads within 2.2 s after the leader was killed, and not before it was silent for 1.6 s', async () => {
  const fleet = createFleet()
  const [first, second] = [fleet.start(), fleet.start()]
  await run(first, lookEveryMs)
  await runAll([first, second], 2_000)
  expect(leads([first, second])).toEqual(['p1'])
  await run(second, 1_200)
  expect(second.leadership.lead.value).toBeUndefined()
  await run(second, 1_000)
  expect(second.leadership.lead.value?.term).toBeGreaterThan(first.leadership.lead.value?.term ?? 0)
})

test('ZR1 the commits of a leader that was paused are refused once another one leads, and it follows when it looks again', async () => {
  const fleet = createFleet()
  const [first, second] = [fleet.start(), fleet.start()]
  await run(first, lookEveryMs)
  await run(second, lookEveryMs)
  expect([await mayWrite(first), await mayWrite(second)]).toEqual([true, false])
  await run(second, 3_000)
  expect([await mayWrite(first), await mayWrite(second)]).toEqual([false, true])
  await run(first, lookEveryMs)
  expect(leads([first, second])).toEqual(['p2'])
})

test('ZR2 a leader that stops in order is replaced at the next look', async () => {
  const fleet = createFleet()
  const [first, second] = [fleet.start(), fleet.start()]
  await run(first, lookEveryMs)
  await run(second, lookEveryMs)
  await first.leadership.close()
  await run(second, lookEveryMs)
  expect(leads([first, second])).toEqual(['p2'])
})

test('ZR2 the lead stays while the store is away from all processes', async () => {
  const fleet = createFleet()
  const all = [fleet.start(), fleet.start()]
  await runAll(all, 1_000)
  const before = leads(all)
  for (const { state } of all) state.isDown = true
  await runAll(all, 20_000)
  for (const { state } of all) state.isDown = false
  await runAll(all, 1_000)
  expect(leads(all)).toEqual(before)
})

test('ZR2 after an outage of the store, the leader keeps the lead also if another process reaches the store before it', async () => {
  const fleet = createFleet()
  const [first, second] = [fleet.start(), fleet.start()]
  await runAll([first, second], 1_000)
  for (const { state } of [first, second]) state.isDown = true
  await runAll([first, second], 20_000)
  second.state.isDown = false
  await runAll([first, second], lookEveryMs)
  expect(leads([first, second])).toEqual(['p1'])
  first.state.isDown = false
  await runAll([first, second], 4_000)
  expect(leads([first, second])).toEqual(['p1'])
  // A leader that does not come back is replaced after its usual time of silence.
  first.state.isDown = true
  await runAll([first, second], 2_400)
  expect(await mayWrite(first)).toBe(false)
  expect(await mayWrite(second)).toBe(true)
})

test('ZR2 of the time between two looks only a part counts as silence, so a process that was paused does not take the lead at once', () => {
  const row = { instance: 'other', term: 7 }
  let watch: Watch | undefined
  const look = (nowMs: number) => {
    const beat = { term: 7, count: 1, resigned: false }
    const next = electionStep('self', watch, { row, beat }, { nowMs, silentMs: 1_600, gapMaxMs: 800 })
    watch = next.watch
    return next.decision.type
  }
  expect([look(0), look(60_000), look(60_400), look(60_700)]).toEqual(Array(4).fill('follow'))
  expect(look(60_800)).toBe('take')
})

test('ZR17 a leader confirms its lead at the store, and a former one or one without a store cannot', async () => {
  const fleet = createFleet()
  const [first, second] = [fleet.start(), fleet.start()]
  await run(first, lookEveryMs)
  await expect(first.leadership.confirm()).resolves.toBeUndefined()
  first.state.isDown = true
  await expect(first.leadership.confirm()).rejects.toThrow('the store is away')
  expect(leads([first])).toEqual(['p1'])
  await run(second, 3_000)
  first.state.isDown = false
  await expect(first.leadership.confirm()).rejects.toThrow('the replica p2 leads')
  expect(leads([first, second])).toEqual(['p2'])
})

test('ZR1 in any order of looks, pauses and kills at most one process may write, and one leads after a while', async () => {
  const event = fc.oneof(
    fc.record({ type: fc.constant('run' as const), who: fc.nat(2), ms: fc.constantFrom(100, 400, 900, 2_400) }),
    fc.record({ type: fc.constant('all' as const), who: fc.nat(2), ms: fc.constantFrom(400, 2_400) }),
    fc.record({ type: fc.constant('close' as const), who: fc.nat(2), ms: fc.constant(0) }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 14 }), async (events) => {
      const fleet = createFleet()
      const all = [fleet.start(), fleet.start(), fleet.start()]
      const closed = new Set<Process>()
      for (const { type, who, ms } of events) {
        const process = all[who]
        if (!process) continue
        if (type === 'all') await runAll(all, ms)
        else if (type === 'run') await run(process, ms)
        else if (closed.size < 2 && !closed.has(process)) {
          closed.add(process)
          await process.leadership.close()
        }
        const writers: boolean[] = []
        for (const one of all) writers.push(await mayWrite(one))
        expect(writers.filter(Boolean).length).toBeLessThanOrEqual(1)
      }
      await runAll(all, 3_000)
      const alive = all.filter((one) => !closed.has(one))
      expect(leads(all)).toHaveLength(1)
      expect(leads(alive)).toHaveLength(1)
    }),
    { numRuns: 150 },
  )
})

test('ZR1 a process that leads without knowing it, because the answer was lost, finds out at its next look', () => {
  const seen = { row: { instance: 'self', term: 7 }, beat: { term: 5, count: 9, resigned: false } }
  const { decision } = electionStep('self', undefined, seen, { nowMs: 0, silentMs: 1_600, gapMaxMs: 800 })
  expect(decision).toEqual({ type: 'lead', term: 7, nextCount: 1 })
})

test('ZR2 a beat of a former term is no sign of life, and each new beat is one', () => {
  const row = { instance: 'other', term: 7 }
  let watch: Watch | undefined
  const look = (nowMs: number, term: number, count: number) => {
    const next = electionStep(
      'self',
      watch,
      { row, beat: { term, count, resigned: term !== 7 } },
      { nowMs, silentMs: 1_600, gapMaxMs: 1_600 },
    )
    watch = next.watch
    return next.decision.type
  }
  expect([look(0, 5, 1), look(1_000, 7, 1), look(2_500, 7, 2), look(4_000, 7, 2)]).toEqual(Array(4).fill('follow'))
  expect(look(4_100, 7, 2)).toBe('take')
})

test('ZR4 what only the leader runs starts with each lead, one at a time, and stops when the lead is lost', async () => {
  const leadership: Leadership = leadAlone('p')
  const { lead } = leadership
  const events: string[] = []
  const started = (own: Lead) => {
    events.push(`start ${own.term}`)
    return {
      async [Symbol.asyncDispose]() {
        await Promise.resolve()
        events.push(`stop ${own.term}`)
      },
    }
  }
  {
    await using kept = whileLeading(leadership, started)
    await settle()
    lead.set({ term: 0, guards: [] })
    await settle()
    expect(kept.running()).toBeDefined()
    lead.set(undefined)
    await settle()
    expect(kept.running()).toBeUndefined()
    lead.set({ term: 3, guards: [] })
    lead.set({ term: 4, guards: [] })
    await settle()
  }
  expect(events).toEqual(['start 0', 'stop 0', 'start 4', 'stop 4'])
})

test('ZR4 what a new leader does is done once with each lead', async () => {
  const leadership: Leadership = leadAlone('p')
  const { lead } = leadership
  let runs = 0
  {
    await using _led = onLead(leadership, () => {
      runs += 1
    })
    await settle()
    lead.set({ term: 0, guards: [] })
    await settle()
    expect(runs).toBe(1)
    lead.set(undefined)
    await settle()
    lead.set({ term: 3, guards: [] })
    await settle()
    expect(runs).toBe(2)
  }
  lead.set({ term: 4, guards: [] })
  await settle()
  expect(runs).toBe(2)
})
