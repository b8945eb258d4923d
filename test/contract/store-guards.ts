import { describe, expect, it } from 'vitest'
import type { OpenedStore } from './store.ts'
import { keyOf, put } from './store-samples.ts'

/**
 * The properties of every store that sync relies on: fencing checks, increasing incarnations, and notes beside the log.
 */
export function storeGuards(name: string, fresh: () => Promise<OpenedStore>): void {
  describe(`${name}: checks, incarnations and notes`, () => {
    it('S18 a check writes nothing, and refuses the commit if it does not hold', async () => {
      const store = (await fresh()).store
      await store.commit({ changes: [put('a', 1)], subject: 's', intent: 'i' })
      const check = (revision: number) => ({ op: 'check' as const, key: keyOf('a'), expect: { revision } })
      const why = { subject: 's', intent: 'i' }
      expect(await store.commit({ ...why, changes: [check(1), put('b', 1)] })).toMatchObject({ ok: true })
      expect(await store.commit({ ...why, changes: [check(2), put('b', 2)] })).toMatchObject({ ok: false })
      expect((await store.get(keyOf('b')))?.revision).toBe(2)
      expect((await store.history(keyOf('a'))).length).toBe(1)
    })

    it('S19 an incarnation is only ever raised, and survives a restart', async () => {
      const { store, reopen } = await fresh()
      const before = store.incarnation
      await store.raiseIncarnation(before - 1)
      expect(store.incarnation).toBe(before)
      await store.raiseIncarnation(before + 5)
      await store.commit({ changes: [put('a', 1)], subject: 's', intent: 'i' })
      const { store: again } = await reopen()
      expect(again.incarnation).toBe(before + 5)
      expect((await again.get(keyOf('a')))?.stamp.incarnation).toBe(before + 5)
    })

    it('S20 notes survive a restart, are read by prefix, and create no revision', async () => {
      const { store, reopen } = await fresh()
      await store.notes.put([
        { name: 'zone/b', value: { n: 2 } },
        { name: 'zone/a', value: { n: 1 } },
        { name: 'zones', value: { n: 3 } },
      ])
      await store.notes.put([
        { name: 'zone/a', value: { n: 4 } },
        { name: 'zone/b', value: undefined },
      ])
      const { store: again } = await reopen()
      expect([...(await again.notes.read('zone/'))]).toEqual([['zone/a', { n: 4 }]])
      expect((await again.notes.read('')).size).toBe(2)
      expect((await again.head()).revision).toBe(0)
    })

    it('S14 a round that was derived from another head is refused as behind, and the next one is accepted', async () => {
      const { store } = await fresh()
      await store.commit({ changes: [put('a', 1)], subject: 's', intent: 'i' })
      const parts = [{ changes: [put('b', 1)], subject: 's', intent: 'i' }]
      for (const head of [0, 2]) {
        expect(await store.commitRound(parts, { head })).toEqual({ ok: false, conflicts: [], isBehind: true })
      }
      expect((await store.head()).revision).toBe(1)
      const outcomes = await Promise.all([
        store.commitRound(parts, { head: 1 }),
        store.commitRound([{ changes: [put('c', 1)], subject: 's', intent: 'i' }], { head: 1 }),
      ])
      expect(outcomes.map(({ ok }) => ok)).toEqual([true, false])
      expect(await store.get(keyOf('c'))).toBeUndefined()
    })
  })
}
