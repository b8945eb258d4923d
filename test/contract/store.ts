import { keyText } from '@zonemesh/shared/resource/resource.ts'
import type { FaultHook } from '@zonemesh/shared/store/faults.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { storeGuards } from './store-guards.ts'
import { deleted, folded, keyOf, put, rowsAt } from './store-samples.ts'

/** A store under test, with functions to reopen it as after a restart. */
export interface OpenedStore {
  readonly store: Store
  /** Closes this store and opens it again with its stored data. */
  reopen(): Promise<OpenedStore>
  /** Closes the store and removes its stored data. */
  remove(): Promise<void>
}

export type OpenStore = (options: {
  readonly horizonRevisions?: number
  readonly faultPoint?: FaultHook
}) => Promise<OpenedStore>

/** The contract of every store. A database is tested by its `open`. */
export function storeContract(name: string, open: OpenStore): void {
  const opened: OpenedStore[] = []
  const fresh = async (options: { readonly horizonRevisions?: number } = {}) => {
    const one = await open(options)
    opened.push(one)
    return one
  }
  const freshStore = async (options: { readonly horizonRevisions?: number } = {}) => (await fresh(options)).store
  afterEach(async () => {
    for (const one of opened.splice(0)) await one.remove()
  })

  const commit = async (store: Store, changes: Parameters<Store['commit']>[0]['changes'], mark = true) => {
    const parts = [{ changes, subject: 'anna', intent: 'test' }]
    const outcome = await store.commitRound(parts, mark ? {} : { unmarked: true })
    if (!outcome.ok) throw new Error(`refused: ${JSON.stringify(outcome.conflicts)}`)
    return outcome
  }

  describe(`${name}: revisions and commits`, () => {
    it('S21 a new store starts at revision 0 with commit id "0"', async () => {
      const store = await freshStore()
      expect(await store.head()).toEqual({ store: store.id, revision: 0, commitId: '0' })
      expect(await store.mark()).toEqual(await store.head())
      expect(await store.standing(await store.head())).toBe('valid')
    })

    it('L5 each commit gets the next revision and a 64-bit commit id', async () => {
      const store = await freshStore()
      const first = await commit(store, [put('a', 1)])
      const second = await commit(store, [put('b', 1)])
      expect([first.position.revision, second.position.revision]).toEqual([1, 2])
      expect(first.position.commitId).toMatch(/^[0-9a-f]{16}$/)
      expect(first.position.commitId).not.toBe(second.position.commitId)
      expect(await store.head()).toEqual(second.position)
    })

    it('S21 own rows are stamped with the incarnation and the revision, and keep their time of creation', async () => {
      const store = await freshStore()
      await commit(store, [put('a', 1)])
      const before = await store.get(keyOf('a'))
      await commit(store, [put('a', 2)])
      const after = await store.get(keyOf('a'))
      expect(after?.stamp).toMatchObject({ incarnation: store.incarnation, originRevision: 2 })
      expect(after?.stamp.createdAtMs).toBe(before?.stamp.createdAtMs)
      expect(after?.stamp.modifiedAtMs).toBeGreaterThan(before?.stamp.modifiedAtMs ?? Number.POSITIVE_INFINITY)
    })

    it('S21 a commit that changes nothing takes no revision', async () => {
      const store = await freshStore()
      const { position } = await commit(store, [put('a', 1)])
      const same = await commit(store, [put('a', 1), deleted('absent'), { op: 'forget', key: keyOf('absent') }])
      expect(same).toMatchObject({ position, written: [] })
      expect(await store.records({ after: 0, limit: 10 })).toHaveLength(1)
    })

    it('S21 a change of only labels is a change', async () => {
      const store = await freshStore()
      await commit(store, [{ ...put('a', 1), labels: { team: 'red' } }])
      const { written } = await commit(store, [{ ...put('a', 1), labels: { team: 'blue' } }])
      expect(written.map(({ key }) => keyText(key))).toEqual([keyText(keyOf('a'))])
      expect((await store.get(keyOf('a')))?.row?.labels).toEqual({ team: 'blue' })
      expect(await store.records({ after: 1, limit: 10 })).toHaveLength(1)
    })

    it('S22 a deletion leaves a tombstone, and a commit one version per key', async () => {
      const store = await freshStore()
      await commit(store, [put('a', 1)])
      const outcome = await commit(store, [put('a', 2), deleted('a')])
      expect(outcome.written.map((version) => version.state)).toEqual(['deleted'])
      expect(await store.get(keyOf('a'))).toMatchObject({ state: 'deleted', revision: 2 })
      expect(await store.scan({})).toEqual([])
    })

    it('S22 each commit has a record with author, reason, time and number of rows', async () => {
      const store = await freshStore()
      const { position } = await commit(store, [put('a', 1), put('b', 1)])
      await commit(store, [put('c', 1)])
      const [first, ...others] = await store.records({ after: 0, limit: 10 })
      expect(first).toMatchObject({ position, subject: 'anna', intent: 'test', rows: 2 })
      expect(first?.atMs).toBeGreaterThan(0)
      expect(others).toHaveLength(1)
      expect(await store.records({ after: 0, limit: 1 })).toEqual([first])
    })

    it('S22 specs and labels are stored unchanged', async () => {
      const store = await freshStore()
      const spec = { text: 'ä "quoted" \u2028 😀', list: [1, null, { deep: [] }], unknown: { z: 1, a: 2 }, zero: 0 }
      await commit(store, [{ op: 'put', key: keyOf('a'), labels: { 'x/y': '' }, spec }])
      const row = (await store.get(keyOf('a')))?.row
      expect(JSON.stringify(row?.spec)).toBe(JSON.stringify(spec))
      expect(row?.labels).toEqual({ 'x/y': '' })
    })

    it('S21 more than 1,000 changes in a part are refused as a bug of the caller', async () => {
      const store = await freshStore()
      const changes = Array.from({ length: 1001 }, (_, index) => put(`n${index}`, 1))
      await expect(async () => store.commit({ changes, subject: 's', intent: 'i' })).rejects.toThrow('1001')
    })
  })

  storeGuards(name, fresh)

  describe(`${name}: received rows`, () => {
    const stamp = (incarnation: number, originRevision: number) => ({
      incarnation,
      originRevision,
      createdAtMs: 1,
      modifiedAtMs: 2,
    })
    const received = (value: number, incarnation: number, revision: number) => ({
      ...put('a', value, 'west'),
      stamp: stamp(incarnation, revision),
    })

    it('L6 received rows keep the stamp of their owner, and only a newer (incarnation, origin revision) is accepted', async () => {
      const store = await freshStore()
      await commit(store, [received(1, 5, 10)])
      expect((await commit(store, [received(2, 5, 10)])).written).toEqual([])
      expect((await commit(store, [received(2, 5, 9)])).written).toEqual([])
      expect((await commit(store, [received(2, 4, 99)])).written).toEqual([])
      expect((await commit(store, [{ ...deleted('a', 'west'), stamp: stamp(5, 10) }])).written).toEqual([])
      expect((await commit(store, [received(3, 5, 11)])).written).toHaveLength(1)
      expect((await commit(store, [received(4, 6, 1)])).written).toHaveLength(1)
      expect((await store.get(keyOf('a', 'west')))?.stamp).toEqual(stamp(6, 1))
    })

    it('S23 a forced row is accepted once, regardless of its stamp', async () => {
      const store = await freshStore()
      await commit(store, [received(1, 5, 10)])
      const forced = { ...received(2, 5, 3), forced: true } as const
      expect((await commit(store, [forced])).written).toHaveLength(1)
      expect((await commit(store, [forced])).written).toEqual([])
      expect((await commit(store, [{ ...forced, ...put('a', 9, 'west') }])).written).toHaveLength(1)
      expect((await store.get(keyOf('a', 'west')))?.row?.spec).toMatchObject(put('a', 9, 'west').spec)
    })

    it('S23 a removal shows whether the commit of its owner declared it', async () => {
      const { store, reopen } = await fresh()
      await commit(store, [put('a', 1), put('b', 1), received(1, 5, 10)])
      await store.commit({ changes: [deleted('a')], subject: 's', intent: 'i', declared: true })
      await commit(store, [deleted('b')])
      await commit(store, [{ op: 'delete', key: keyOf('a', 'west'), stamp: stamp(5, 11), declared: true }])
      const { store: again } = await reopen()
      const versions = await Promise.all([keyOf('a'), keyOf('b'), keyOf('a', 'west')].map((key) => again.get(key)))
      expect(versions.map((version) => version?.declared)).toEqual([true, undefined, true])
    })

    it('L6 a tombstone keeps older versions out', async () => {
      const store = await freshStore()
      await commit(store, [received(1, 5, 10)])
      await commit(store, [{ ...deleted('a', 'west'), stamp: stamp(5, 12) }])
      expect((await commit(store, [received(1, 5, 11)])).written).toEqual([])
      expect((await commit(store, [received(1, 5, 13)])).written).toHaveLength(1)
    })

    it('S23 a forgotten row leaves no tombstone, keeps its stamp, and may return unchanged', async () => {
      const store = await freshStore()
      await commit(store, [received(1, 5, 10)])
      const { written } = await commit(store, [{ op: 'forget', key: keyOf('a', 'west') }])
      expect(written).toMatchObject([{ state: 'forgotten', stamp: stamp(5, 10) }])
      expect(await store.scan({})).toEqual([])
      expect((await commit(store, [received(1, 5, 10)])).written).toHaveLength(1)
    })
  })

  describe(`${name}: expectations`, () => {
    it.each([
      ['absent, and it is', put('new', 1), { absent: true }, true],
      ['absent, but it is there', put('a', 2), { absent: true }, false],
      ['absent, and it was deleted', put('gone', 1), { absent: true }, true],
      ['the present revision', put('a', 2), { revision: 1 }, true],
      ['a former revision', put('a', 2), { revision: 7 }, false],
      ['a revision of what is absent', deleted('new'), { revision: 1 }, false],
      ['present, and it is', deleted('a'), { present: true }, true],
      ['present, but it is not', deleted('new'), { present: true }, false],
    ] as const)('S14 an expectation on a key: %s', async (_title, change, expectation, accepted) => {
      const store = await freshStore()
      await commit(store, [put('a', 1), put('gone', 1)])
      await commit(store, [deleted('gone')])
      const head = await store.head()
      const outcome = await store.commit({
        changes: [put('other', 1), { ...change, expect: expectation }],
        subject: 's',
        intent: 'i',
      })
      expect(outcome.ok).toBe(accepted)
      if (outcome.ok) return
      expect(outcome.conflicts).toMatchObject([{ key: change.key, expected: expectation }])
      expect(await store.head()).toEqual(head)
      expect(await store.get(keyOf('other'))).toBeUndefined()
    })

    it('S14 expectations are checked against the state before the commit', async () => {
      const store = await freshStore()
      await commit(store, [put('a', 1)])
      const changes = [deleted('a'), { ...put('a', 2), expect: { revision: 1 } }]
      expect((await store.commit({ changes, subject: 's', intent: 'i' })).ok).toBe(true)
    })
  })

  describe(`${name}: group commits`, () => {
    it('S4 commits of one turn follow each other, and a refused commit affects no other', async () => {
      const store = await freshStore()
      const outcomes = await Promise.all([
        store.commit({ changes: [put('a', 1)], subject: 's', intent: 'i' }),
        store.commit({ changes: [{ ...put('a', 2), expect: { absent: true } }], subject: 's', intent: 'i' }),
        store.commit({ changes: [{ ...put('a', 3), expect: { revision: 1 } }], subject: 's', intent: 'i' }),
      ])
      expect(outcomes.map((outcome) => outcome.ok && outcome.position.revision)).toEqual([1, false, 2])
      expect((await store.history(keyOf('a'))).map((version) => version.row?.spec['value'])).toEqual([3, 1])
    })

    it('S14 exactly one of many writers that expect the same revision wins each round', async () => {
      const store = await freshStore()
      await commit(store, [put('counter', 0)])
      const increment = async (): Promise<void> => {
        const found = await store.get(keyOf('counter'))
        const change = put('counter', Number(found?.row?.spec['value']) + 1)
        const outcome = await store.commit({
          changes: [{ ...change, expect: { revision: found?.revision ?? 0 } }],
          subject: 's',
          intent: 'i',
        })
        if (!outcome.ok) return increment()
      }
      await Promise.all(Array.from({ length: 20 }, increment))
      expect((await store.get(keyOf('counter')))?.row?.spec).toEqual({ value: 20 })
    })
  })

  describe(`${name}: marks`, () => {
    it('S24 an unmarked round holds the mark back until a marked round', async () => {
      const store = await freshStore()
      const first = await commit(store, [put('a', 1)])
      await commit(store, [put('b', 1)], false)
      expect(await store.mark()).toEqual(first.position)
      expect((await store.scan({})).map((row) => row.key.name)).toEqual(['a'])
      const third = await commit(store, [put('c', 1)])
      expect(await store.mark()).toEqual(third.position)
      expect((await store.scan({})).map((row) => row.key.name)).toEqual(['a', 'b', 'c'])
    })

    it('S24 a round without rows releases a mark that is held back', async () => {
      const one = await fresh()
      await commit(one.store, [put('b', 1)], false)
      await commit(one.store, [])
      expect(await one.store.mark()).toEqual(await one.store.head())
      const again = await one.reopen()
      expect((await again.store.mark()).revision).toBe(1)
    })

    it('S13 listeners are notified after the commit is durable, but not of unmarked rounds', async () => {
      const store = await freshStore()
      let calls = 0
      const listening = store.onMark(() => {
        calls += 1
      })
      await commit(store, [put('a', 1)], false)
      expect(calls).toBe(0)
      await commit(store, [put('b', 1)])
      expect(calls).toBe(1)
      listening[Symbol.dispose]()
      await commit(store, [put('c', 1)])
      expect(calls).toBe(1)
    })
  })

  describe(`${name}: reading`, () => {
    it('S25 a scan of a kind over all origins is in key order, from any key, up to a limit', async () => {
      const store = await freshStore()
      const origins = ['a', 'a-b', 'a.b', 'b', 'global', 'z9']
      const kinds = ['Other', 'Thing', 'Things']
      const keys = origins.flatMap((origin) =>
        kinds.flatMap((kind) => ['', 'm'].flatMap((mesh) => ['x', 'y'].map((name) => ({ origin, kind, mesh, name })))),
      )
      await commit(
        store,
        keys.map((key) => ({ op: 'put', key, labels: {}, spec: {} })),
      )
      for (const selection of [{ kind: 'Thing' }, { kind: 'Thing', mesh: 'm' }, { kind: 'Nothing' }]) {
        const wanted = keys
          .filter(
            ({ kind, mesh }) => kind === selection.kind && (selection.mesh === undefined || mesh === selection.mesh),
          )
          .map(keyText)
          .sort()
        expect((await store.scan(selection)).map(({ key }) => keyText(key))).toEqual(wanted)
        for (const [index, after] of wanted.entries()) {
          const found = await store.scan(selection, { after, limit: 5 })
          expect(found.map(({ key }) => keyText(key))).toEqual(wanted.slice(index + 1, index + 6))
        }
      }
    })

    it('S25 a scan by origin, kind and mesh is in key order and in pages, at any kept revision', async () => {
      const store = await freshStore()
      const at = (origin: string, kind: string, mesh: string, row: string) => ({
        op: 'put' as const,
        key: { origin, kind, mesh, name: row },
        labels: {},
        spec: {},
      })
      await commit(store, [
        at('global', 'B', 'm', 'x'),
        at('global', 'A', 'm', 'y'),
        at('global', 'A', 'k', 'z'),
        at('west', 'A', 'm', 'x'),
      ])
      await commit(store, [{ op: 'delete', key: { origin: 'global', kind: 'A', mesh: 'm', name: 'y' } }])
      const texts = async (...args: Parameters<Store['scan']>) =>
        (await store.scan(...args)).map(({ key }) => `${key.origin}/${key.kind}/${key.mesh}/${key.name}`)
      expect(await texts({}, { at: 1 })).toEqual(['global/A/k/z', 'global/A/m/y', 'global/B/m/x', 'west/A/m/x'])
      expect(await texts({})).toEqual(['global/A/k/z', 'global/B/m/x', 'west/A/m/x'])
      expect(await texts({ kind: 'A' })).toEqual(['global/A/k/z', 'west/A/m/x'])
      expect(await texts({ kind: 'A', mesh: 'm' })).toEqual(['west/A/m/x'])
      expect(await texts({ mesh: 'm' })).toEqual(['global/B/m/x', 'west/A/m/x'])
      expect(await texts({ origin: 'global' })).toEqual(['global/A/k/z', 'global/B/m/x'])
      expect(await texts({ origin: 'global', mesh: 'm' })).toEqual(['global/B/m/x'])
      expect(await texts({ origin: 'global', kind: 'A', mesh: 'm' }, { at: 1 })).toEqual(['global/A/m/y'])
      expect(await texts({}, { limit: 2 })).toEqual(['global/A/k/z', 'global/B/m/x'])
      expect(await texts({}, { limit: 2, after: 'global/A/k/z' })).toEqual(['global/B/m/x', 'west/A/m/x'])
      expect(await texts({ kind: 'A' }, { after: 'global/A/k/z' })).toEqual(['west/A/m/x'])
    })

    it('S25 pages go through more rows than one read takes', async () => {
      const store = await freshStore()
      const names = Array.from({ length: 1700 }, (_, index) => `n${String(index).padStart(4, '0')}`)
      await commit(
        store,
        names.slice(0, 900).map((row) => put(row, 1)),
      )
      await commit(
        store,
        names.slice(900).map((row) => put(row, 1)),
      )
      expect((await store.scan({})).map((row) => row.key.name)).toEqual(names)
      const pages = await folded(store, 0, 2, 333)
      expect([...pages.keys()]).toHaveLength(1700)
    })

    it('S26 the changes of an interval are the newest version of each key, ordered by revision and key', async () => {
      const store = await freshStore()
      await commit(store, [put('b', 1), put('a', 1)])
      await commit(store, [put('a', 2), put('c', 1)])
      await commit(store, [deleted('b')])
      const texts = async (after: number, through: number) =>
        (await store.changesSince(after, through)).versions.map(
          (version) => `${version.key.name}${version.revision}${version.state[0]}`,
        )
      expect(await texts(0, 1)).toEqual(['a1l', 'b1l'])
      expect(await texts(0, 2)).toEqual(['b1l', 'a2l', 'c2l'])
      expect(await texts(0, 3)).toEqual(['a2l', 'c2l', 'b3d'])
      expect(await texts(2, 3)).toEqual(['b3d'])
      expect(await texts(3, 3)).toEqual([])
    })

    it('S26 the changes of one origin are read alone, in pages', async () => {
      const store = await freshStore()
      const of = (origin: string, row: string) => ({ ...put(row, 1), key: { ...keyOf(row), origin } })
      await commit(store, [of('west', 'a'), of('global', 'b'), of('west', 'c')])
      await commit(store, [of('west-1', 'd'), of('wes', 'e'), of('west', 'f')])
      await commit(store, [{ op: 'delete', key: { ...keyOf('a'), origin: 'west' } }])
      const names: string[] = []
      let resume: string | undefined
      do {
        const page = { limit: 1, origin: 'west', ...(resume === undefined ? {} : { resume }) }
        const { versions, next } = await store.changesSince(0, 3, page)
        names.push(...versions.map(({ key, revision, state }) => `${key.name}${revision}${state[0]}`))
        resume = next
      } while (resume !== undefined)
      expect(names).toEqual(['c1l', 'f2l', 'a3d'])
      expect((await store.changesSince(2, 3, { origin: 'global' })).versions).toEqual([])
      expect((await store.changesSince(0, 3)).versions).toHaveLength(6)
    })

    it('S22 every version of a key is kept, newest first', async () => {
      const store = await freshStore()
      await commit(store, [put('a', 1)])
      await commit(store, [deleted('a')])
      await commit(store, [put('a', 2)])
      expect((await store.history(keyOf('a'))).map((version) => version.state)).toEqual(['live', 'deleted', 'live'])
      expect(await store.history(keyOf('never'))).toEqual([])
    })
  })

  describe(`${name}: positions and horizon`, () => {
    it('S27 a valid position is distinguished from a position of another history', async () => {
      const store = await freshStore()
      const { position } = await commit(store, [put('a', 1)])
      await commit(store, [put('a', 2)])
      expect(await store.standing(position)).toBe('valid')
      expect(await store.standing({ ...position, store: 'another' })).toBe('diverged')
      expect(await store.standing({ ...position, commitId: '0123456789abcdef' })).toBe('diverged')
      expect(await store.standing({ ...position, revision: 99 })).toBe('diverged')
    })

    it('S28 a reader below the horizon is behind, and live rows and the newest versions stay', async () => {
      const one = await fresh({ horizonRevisions: 8 })
      const { store } = one
      const { position } = await commit(store, [put('kept', 1), put('gone', 1)])
      await commit(store, [deleted('gone')])
      for (let value = 1; value <= 30; value += 1) await commit(store, [put('busy', value)])
      const kept = async () => (await store.history(keyOf('busy'))).length
      // A store prunes beside the commits, in several steps.
      await settled(async () => (await store.standing(position)) === 'behind' && (await kept()) < 20)
      expect((await store.scan({})).map((row) => row.key.name)).toEqual(['busy', 'kept'])
      expect(await store.history(keyOf('gone'))).toEqual([])
      expect(await kept()).toSatisfy((count: number) => count >= 8 && count < 20)
      await expect(store.changesSince(1, 32)).rejects.toThrow('horizon')
      await expect(store.scan({}, { at: 1 })).rejects.toThrow('horizon')
      const head = await store.head()
      expect(await store.standing(head)).toBe('valid')
      const again = await one.reopen()
      expect(await again.store.standing(position)).toBe('behind')
      expect(await again.store.standing(head)).toBe('valid')
    })
  })

  describe(`${name}: reopening`, () => {
    it('S29 a reopened store has the same id, incarnation, head, mark and rows', async () => {
      const one = await fresh()
      await commit(one.store, [put('a', 1)])
      const { position } = await commit(one.store, [put('b', 1)])
      const before = { id: one.store.id, incarnation: one.store.incarnation, rows: await one.store.scan({}) }
      const { store } = await one.reopen()
      expect({ id: store.id, incarnation: store.incarnation, rows: await store.scan({}) }).toEqual(before)
      expect(await store.mark()).toEqual(position)
      expect((await commit(store, [put('c', 1)])).position.revision).toBe(3)
    })
  })

  describe(`${name}: the snapshot property`, () => {
    const step = fc.record({
      row: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
      value: fc.option(fc.integer({ min: 0, max: 2 })),
      mark: fc.boolean(),
    })

    it('L5 the changes up to a mark R, folded in pages, equal a scan at R, during any writes', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { maxLength: 12 }),
          fc.integer({ min: 1, max: 3 }),
          async (commits, limit) => {
            const one = await open({})
            try {
              const { store } = one
              const state = new Map<string, unknown>()
              let position = 0
              for (const steps of commits) {
                const changes = steps.map(({ row, value }) => (value === null ? deleted(row) : put(row, value)))
                const through = (await store.mark()).revision
                // The round is read while the next commit is being written.
                const [, next] = await Promise.all([
                  commit(store, changes, steps[0]?.mark),
                  folded(store, position, through, limit, state),
                ])
                expect(next).toEqual(await rowsAt(store, through))
                position = through
              }
            } finally {
              await one.remove()
            }
          },
        ),
        { numRuns: 60 },
      )
    })
  })
}

/** Waits for an effect that the store has after its commits, such as dropping old versions. */
async function settled(holds: () => Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < 1000 && !(await holds()); turn += 1) await new Promise((resolve) => setImmediate(resolve))
}
