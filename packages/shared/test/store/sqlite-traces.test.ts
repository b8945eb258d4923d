import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createVirtualClock } from '../../src/env/clock.ts'
import { silentLog } from '../../src/env/log.ts'
import { systemRandom } from '../../src/env/random.ts'
import { openSqliteStore } from '../../src/store/sqlite.ts'
import type { Change } from '../../src/store/store.ts'
import { traceparentOf } from '../env/recording-tracer.ts'

const deps = { clock: createVirtualClock(1_000), random: systemRandom, log: silentLog }
const why = { subject: 's', intent: 'i' }
const put = (value = 0): Change => ({
  op: 'put',
  key: { origin: 'global', kind: 'Thing', mesh: 'default', name: 'a' },
  labels: {},
  spec: { value },
})

let folder: string
let path: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'zonemesh-traces-'))
  path = join(folder, 'store.db')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('OT3 software without tracing goes on using the file, and a file without traces is opened', async () => {
  const change = put()
  const store = await openSqliteStore(deps, { path })
  await store.commit({ ...why, changes: [change], traceparent: traceparentOf(1) })
  await store.close()
  // What the former software does: it checks the version, and adds records of seven columns.
  const former = new DatabaseSync(path)
  expect(former.prepare('PRAGMA user_version').get()).toEqual({ user_version: 3 })
  former.prepare("INSERT INTO records VALUES (2, 'ab', 's', 'i', 1, 0, 2)").run()
  former.close()
  const again = await openSqliteStore(deps, { path })
  const traces = async (read: typeof store) =>
    (await read.records({ after: 0, limit: 10 })).map(({ traceparent }) => traceparent)
  expect(await traces(again)).toEqual([traceparentOf(1), undefined])
  await again.close()
  const older = new DatabaseSync(path)
  older.exec('DROP TABLE traces')
  older.close()
  const upgraded = await openSqliteStore(deps, { path })
  expect(await traces(upgraded)).toEqual([undefined, undefined])
  await upgraded.close()
})

test('OT3 a damaged context in the file is left out', async () => {
  const store = await openSqliteStore(deps, { path })
  const change = put()
  await store.commit({ ...why, changes: [change], traceparent: traceparentOf(1) })
  await store.close()
  const other = new DatabaseSync(path)
  other.exec("UPDATE traces SET traceparent = 'damaged'")
  other.close()
  const again = await openSqliteStore(deps, { path })
  expect(await again.records({ after: 0, limit: 1 })).toMatchObject([{ rows: 1 }])
  expect((await again.records({ after: 0, limit: 1 }))[0]?.traceparent).toBeUndefined()
  await again.close()
})

test('OT3 contexts below the horizon are dropped with their records', async () => {
  const store = await openSqliteStore(deps, { path, horizonRevisions: 4 })
  for (let value = 1; value <= 20; value += 1) {
    const change = put(value)
    await store.commit({ ...why, changes: [change], traceparent: traceparentOf(value) })
  }
  const kept = (await store.records({ after: 0, limit: 100 })).length
  await store.close()
  const other = new DatabaseSync(path)
  expect(other.prepare('SELECT count(*) AS n FROM traces').get()).toEqual({ n: kept })
  other.close()
})
