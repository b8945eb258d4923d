import { causesBetween } from '@zonemesh/shared/store/causes.ts'
import type { Commit, Store } from '@zonemesh/shared/store/store.ts'
import { afterEach, describe, expect, it } from 'vitest'
import { traceparentOf } from '../../packages/shared/test/env/recording-tracer.ts'
import type { OpenedStore, OpenStore } from './store.ts'
import { keyOf, put } from './store-samples.ts'

const why = { subject: 'anna', intent: 'test' }
const tracesOf = async (store: Store, after = 0) =>
  (await store.records({ after, limit: 100 })).map(({ traceparent }) => traceparent)

/** The record of a commit carries the context of its span, which is no part of anything else. */
export function traceContract(name: string, open: OpenStore): void {
  const opened: OpenedStore[] = []
  const fresh = async (options: Parameters<OpenStore>[0] = {}) => {
    const one = await open(options)
    opened.push(one)
    return one
  }
  afterEach(async () => {
    for (const one of opened.splice(0)) await one.remove()
  })

  describe(`${name}: traces of commits`, () => {
    it('OT2 the record of a commit has the context of its span, also after a restart, and other records have none', async () => {
      const { store, reopen } = await fresh()
      await store.commit({ ...why, changes: [put('a', 1)] })
      await store.commit({ ...why, changes: [put('b', 1)], traceparent: traceparentOf(1) })
      const parts: readonly Commit[] = [
        { ...why, changes: [put('c', 1)], traceparent: traceparentOf(2) },
        { ...why, changes: [put('d', 1)] },
      ]
      await store.commitRound(parts)
      const expected = [undefined, traceparentOf(1), traceparentOf(2), undefined]
      expect((await tracesOf(store)).slice(-4)).toEqual(expected)
      const { store: again } = await reopen()
      expect((await tracesOf(again)).slice(-4)).toEqual(expected)
      const records = await again.records({ after: 0, limit: 100 })
      expect(records.filter((record) => 'traceparent' in record)).toHaveLength(2)
    })

    it('OT2 a context is in no row, no version, no stamp and no position, and makes no commit of its own', async () => {
      const { store } = await fresh()
      const first = await store.commit({ ...why, changes: [put('a', 1)], traceparent: traceparentOf(1) })
      const same = await store.commit({ ...why, changes: [put('a', 1)], traceparent: traceparentOf(2) })
      if (!first.ok || !same.ok) throw new Error('refused')
      expect(same.position).toEqual(first.position)
      const { revision } = first.position
      const found = [
        first,
        await store.get(keyOf('a')),
        await store.history(keyOf('a')),
        await store.scan({ origin: 'global' }),
        await store.changesSince(0, revision),
        await store.mark(),
      ]
      expect(JSON.stringify(found)).not.toContain(traceparentOf(1).slice(3, 30))
      expect((await tracesOf(store)).filter((one) => one !== undefined)).toEqual([traceparentOf(1)])
    })

    it('OT5 the contexts of the commits of an interval are read, the newest last, at most 8', async () => {
      const { store } = await fresh()
      const before = (await store.head()).revision
      for (let value = 1; value <= 12; value += 1)
        await store.commit({ ...why, changes: [put('a', value)], traceparent: traceparentOf(Math.ceil(value / 2)) })
      const since = (count: number) => causesBetween(store, before + count, before + 12)
      expect(await since(9)).toEqual([traceparentOf(5), traceparentOf(6)])
      expect(await causesBetween(store, before + 2, before + 6)).toEqual([traceparentOf(2), traceparentOf(3)])
      expect(await since(12)).toEqual([])
      for (let value = 13; value <= 30; value += 1)
        await store.commit({ ...why, changes: [put('a', value)], traceparent: traceparentOf(value) })
      expect(await causesBetween(store, before, before + 30)).toEqual(
        Array.from({ length: 8 }, (_, index) => traceparentOf(23 + index)),
      )
    })
  })
}
