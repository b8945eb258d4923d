import { createMetrics } from '@zonemesh/plane/metrics/metrics.ts'
import { observeStore } from '@zonemesh/plane/metrics/observed-store.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { HorizonError, StoreUnavailableError } from '@zonemesh/shared/store/errors.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import type { Change, Store } from '@zonemesh/shared/store/store.ts'
import { expect, test } from 'vitest'

const key = { origin: 'global', kind: 'Mesh', mesh: '', name: 'default' }
const put: Change = { op: 'put', key, labels: {}, spec: {}, expect: { absent: true } }
const round = (...changes: readonly Change[]) => ({ changes, subject: 'test', intent: 'test' })

/** A store in which each operation takes 3 ms. */
function scene(changes: (store: Store) => Partial<Store> = () => ({})) {
  const clock = createVirtualClock()
  const inner = createMemoryStore({ clock, random: createSeededRandom(1) }, { horizonRevisions: 1_000 })
  const slow = <T>(value: Promise<T>): Promise<T> => {
    clock.advance(3)
    return value
  }
  const measured: Store = {
    ...inner,
    get: (one) => slow(inner.get(one)),
    commit: (commit) => slow(inner.commit(commit)),
    commitRound: (parts, options) => slow(inner.commitRound(parts, options)),
    ...changes(inner),
  }
  const metrics = createMetrics('global')
  const store = observeStore(measured, clock, metrics)
  const figures = async (pattern: RegExp): Promise<readonly string[]> =>
    (await metrics.text()).split('\n').filter((line) => pattern.test(line) && !line.startsWith('#'))
  return { store, figures }
}

test('MT6 commits are counted by result and measured, single ones and rounds alike', async () => {
  const { store, figures } = scene()
  await store.commit(round(put))
  await store.commit(round(put))
  await store.commitRound([round(), round()])
  expect(await figures(/^zonemesh_store_(commits|rows)/)).toEqual([
    'zonemesh_store_commits_total{result="written"} 1',
    'zonemesh_store_commits_total{result="refused"} 1',
    'zonemesh_store_commits_total{result="empty"} 1',
    'zonemesh_store_rows_written_total 1',
  ])
  expect(await figures(/duration_seconds_(sum|count)\{operation="commit"/)).toEqual([
    'zonemesh_store_operation_duration_seconds_sum{operation="commit"} 0.009000000000000001',
    'zonemesh_store_operation_duration_seconds_count{operation="commit"} 3',
  ])
  expect(await figures(/^zonemesh_store_revision/)).toEqual(['zonemesh_store_revision 1'])
})

test('MT6 a failed operation is counted as a failure and not measured, and its error is unchanged', async () => {
  const fails = () => Promise.reject(new StoreUnavailableError('the database does not answer'))
  const { store, figures } = scene(() => ({ commitRound: fails, get: fails, fault: () => 'the file was deleted' }))
  await expect(store.commitRound([round(put)])).rejects.toThrow(StoreUnavailableError)
  await expect(store.get(key)).rejects.toThrow('the database does not answer')
  expect(await figures(/^zonemesh_store_(failures|commits|fault|operation_duration_seconds_count)/)).toEqual([
    'zonemesh_store_commits_total{result="failed"} 1',
    'zonemesh_store_failures_total{operation="commit"} 1',
    'zonemesh_store_failures_total{operation="get"} 1',
    'zonemesh_store_fault 1',
  ])
})

test('MT6 a read below the horizon is no failure, and reads reach the store', async () => {
  const { store, figures } = scene(() => ({ changesSince: () => Promise.reject(new HorizonError(1, 5)) }))
  await expect(store.changesSince(1, 2)).rejects.toThrow(HorizonError)
  await store.commit(round(put))
  expect((await store.get(key))?.revision).toBe(1)
  expect(await store.scan({ kind: 'Mesh' })).toHaveLength(1)
  expect((await store.mark()).revision).toBe(1)
  expect((await store.head()).revision).toBe(1)
  expect(await store.history(key)).toHaveLength(1)
  expect(await store.records({ after: 0, limit: 9 })).toHaveLength(1)
  expect(await store.standing(await store.head())).toBe('valid')
  expect(await figures(/^zonemesh_store_(failures|fault)/)).toEqual(['zonemesh_store_fault 0'])
  const operations = await figures(/_seconds_count/)
  expect(operations.map((line) => /operation="(\w+)"/.exec(line)?.[1])).toEqual(
    expect.arrayContaining(['commit', 'get', 'scan', 'mark', 'head', 'history', 'records', 'standing']),
  )
})
