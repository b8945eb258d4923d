import type { FaultHook, FaultPoint } from '@zonemesh/shared/store/faults.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { afterEach, describe, expect, it } from 'vitest'
import type { OpenedStore, OpenStore } from './store.ts'
import { keyOf, put } from './store-samples.ts'
import { largeRound, largeRows } from './zone-store.ts'

const why = { subject: 's', intent: 'i' }

/** The parts of the large round that a reader sees: rows, the position, and derived rows. */
async function found(store: Store) {
  const rows = await store.scan({ kind: 'Dataplane' })
  const [position] = await store.scan({ kind: 'SyncPosition' })
  return {
    rows: rows.length,
    turns: [...new Set(rows.map(({ spec }) => spec['turn']))],
    position: position?.spec['turn'],
    services: (await store.scan({ kind: 'AvailableService' })).length,
    isMarked: (await store.mark()).revision === (await store.head()).revision,
  }
}

/** A round is written completely or not at all. `derives`: the store adds derived rows. */
export function roundContract(name: string, open: OpenStore, derives: boolean): void {
  const opened: OpenedStore[] = []
  const fresh = async (faultPoint?: FaultHook) => {
    const one = await open(faultPoint ? { faultPoint } : {})
    opened.push(one)
    return one
  }
  afterEach(async () => {
    for (const one of opened.splice(0)) await one.remove()
  })
  const whole = (turn: number) => ({
    rows: largeRows,
    turns: [turn],
    position: turn,
    services: derives ? 1_200 : 0,
    isMarked: true,
  })

  describe(`${name}: rounds`, () => {
    it('S25 a scan ends at its limit, also after several pages of a database', async () => {
      const { store } = await fresh()
      const { kind } = keyOf('row-0')
      const count = 1_100
      const changes = Array.from({ length: count }, (_unused, index) => put(`row-${index}`, index))
      await store.commit({ ...why, changes: changes.slice(0, count / 2) })
      await store.commit({ ...why, changes: changes.slice(count / 2) })
      const all = (await store.scan({ kind })).map(({ key }) => key.name)
      expect(all).toHaveLength(count)
      for (const limit of [1, 499, 500, 501, 750, 1_099])
        expect((await store.scan({ kind }, { limit })).map(({ key }) => key.name)).toEqual(all.slice(0, limit))
    })

    it('S1 a round becomes visible at once, and readers find nothing of it before it is durable', async () => {
      const { store } = await fresh()
      let isDone = false
      const round = store.commitRound(largeRound(1)).then((outcome) => {
        isDone = true
        return outcome
      })
      let looks = 0
      while (!isDone) {
        const { rows } = await found(store)
        expect([0, largeRows]).toContain(rows)
        looks += 1
        await new Promise((resolve) => setImmediate(resolve))
      }
      expect(looks).toBeGreaterThan(0)
      const outcome = await round
      const head = await store.head()
      expect(outcome).toMatchObject({ ok: true, position: head })
      expect(await found(store)).toEqual(whole(1))
      const records = await store.records({ after: 0, limit: 100 })
      expect(records.at(-1)?.position).toEqual(head)
      expect(records).toHaveLength(head.revision)
    })

    it('S1 a refused part refuses the whole round, and no other round of the turn', async () => {
      const { store, reopen } = await fresh()
      await store.commit({ ...why, changes: [put('a', 1)] })
      const stale = { op: 'check' as const, key: keyOf('a'), expect: { revision: 7 } }
      const parts = largeRound(1)
      const refused = parts.map((part, index) =>
        index === parts.length - 1 ? { ...part, changes: [stale, ...part.changes] } : part,
      )
      const [first, second] = await Promise.all([
        store.commitRound(refused),
        store.commitRound([{ ...why, changes: [put('b', 1)] }]),
      ])
      expect(first).toMatchObject({ ok: false, conflicts: [{ key: keyOf('a'), found: 1 }] })
      expect(second).toMatchObject({ ok: true, position: { revision: 2 } })
      const { store: again } = await reopen()
      expect(await found(again)).toEqual({ ...whole(1), rows: 0, turns: [], position: undefined, services: 0 })
      expect(await again.history(keyOf('b'))).toHaveLength(1)
    })

    it('S1 an unmarked round stays invisible at marks until the next round', async () => {
      const { store, reopen } = await fresh()
      await store.commitRound([{ ...why, changes: [put('a', 1)] }], { unmarked: true })
      expect((await store.mark()).revision).toBe(0)
      const { store: again } = await reopen()
      expect([(await again.mark()).revision, (await again.head()).revision]).toEqual([0, 1])
      await again.commit({ ...why, changes: [put('b', 1)] })
      expect((await again.scan({})).map(({ key }) => key.name)).toEqual(['a', 'b'])
    })

    it('S1 S2 a fault at any point of a round of 2,500 rows leaves all of it or nothing, and the next attempt is complete', {
      timeout: 60_000,
    }, async () => {
      let passed = 0
      let isDue = (_passed: number, _point: FaultPoint): boolean => false
      const faultPoint: FaultHook = (point) => {
        passed += 1
        if (isDue(passed, point)) throw new Error(`planted fault at ${point}`)
      }
      let { store, reopen } = await fresh(faultPoint)
      await store.commitRound(largeRound(1))
      expect(passed).toBeGreaterThan(largeRows)
      // The first points, those at both ends of the parts, some between, and those around the end of the transaction.
      const counts = [1, 2, 3, 999, 1_000, 1_001, 1_999, 2_000, 2_001, 271, 771, 1_271, 1_771, 2_271]
      const tries = [
        ...counts.map((count) => (reached: number) => reached === count),
        ...(['before-commit', 'after-commit', 'after-commit'] as const).map(
          (wanted) => (_reached: number, point: FaultPoint) => point === wanted,
        ),
      ]
      let turn = 1
      for (const [index, due] of tries.entries()) {
        const before = await store.head()
        passed = 0
        isDue = due
        const outcome = await store.commitRound(largeRound(turn + 1)).catch((cause: unknown) => String(cause))
        isDue = () => false
        // After the commit the round is durable, whether it is acknowledged or not.
        const isDurable = (await store.head()).revision > before.revision
        expect(isDurable).toBe(index >= tries.length - 2)
        // A database may detect by itself that the round was written.
        if (typeof outcome !== 'string') expect([isDurable, outcome.ok]).toEqual([true, true])
        else expect(outcome).toContain('planted fault')
        if (isDurable) turn += 1
        expect(await found(store), `try ${index}`).toEqual(whole(turn))
        if (index % 2 === 0) continue
        ;({ store, reopen } = await reopen())
        expect(await found(store), `try ${index}, reopened`).toEqual(whole(turn))
      }
      await store.commitRound(largeRound(turn + 1))
      expect(await found(store)).toEqual(whole(turn + 1))
    })
  })
}
