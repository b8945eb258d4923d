import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createVirtualClock, systemClock } from '../../src/env/clock.ts'
import { silentLog } from '../../src/env/log.ts'
import { systemRandom } from '../../src/env/random.ts'
import { StoreOpenError, StoreUnavailableError } from '../../src/store/errors.ts'
import type { FaultPoint } from '../../src/store/faults.ts'
import { openSqliteStore } from '../../src/store/sqlite.ts'

const deps = { clock: systemClock, random: systemRandom, log: silentLog }
let folder: string
let path: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'zonemesh-file-'))
  path = join(folder, 'store.db')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

async function openError(): Promise<string> {
  try {
    const store = await openSqliteStore(deps, { path })
    await store.close()
    return 'opened'
  } catch (thrown) {
    return thrown instanceof StoreOpenError ? thrown.message : `another error: ${thrown}`
  }
}

describe('opening a SQLite store', () => {
  it('S6 the file and its journal are readable only by their owner', async () => {
    const store = await openSqliteStore(deps, { path })
    await store.commit({ changes: [], subject: 's', intent: 'i' })
    expect([path, `${path}-wal`].map((file) => statSync(file).mode & 0o777)).toEqual([0o600, 0o600])
    await store.close()
  })

  it('S7 a file that is not a database is refused with its path and the reason', async () => {
    writeFileSync(path, 'these are notes, and not a database at all')
    expect(await openError()).toBe(
      `cannot open store ${path}: expected a Zonemesh store, found a file that is not a database`,
    )
  })

  it('S7 a database of another application is refused with the reason', async () => {
    const other = new DatabaseSync(path)
    other.exec('CREATE TABLE notes (text TEXT)')
    other.close()
    expect(await openError()).toBe(
      `cannot open store ${path}: expected a Zonemesh store, found another application's SQLite database`,
    )
  })

  it('S8 a file of schema version 1 is upgraded', async () => {
    const store = await openSqliteStore(deps, { path })
    await store.close()
    const other = new DatabaseSync(path)
    other.exec('DROP TABLE notes; ALTER TABLE versions DROP COLUMN declared; PRAGMA user_version = 1')
    other.close()
    const again = await openSqliteStore(deps, { path })
    await again.notes.put([{ name: 'a', value: {} }])
    expect(again.id).toBe(store.id)
    await again.close()
    const upgraded = new DatabaseSync(path)
    expect(upgraded.prepare('PRAGMA user_version').get()).toEqual({ user_version: 3 })
    upgraded.close()
  })

  it('S8 a file of schema version 2 is upgraded: every version is present, in its order', async () => {
    const key = (name: string) => ({ origin: 'global', kind: 'Policy', mesh: 'm', name })
    const put = (name: string, value: number) => ({ op: 'put' as const, key: key(name), labels: {}, spec: { value } })
    const store = await openSqliteStore(deps, { path })
    await store.commit({ changes: [put('b', 1), put('a', 1)], subject: 's', intent: 'i' })
    await store.commit({ changes: [put('a', 2), { op: 'delete', key: key('b') }], subject: 's', intent: 'i' })
    const told = await Promise.all([store.head(), store.changesSince(0, 2), store.changesSince(0, 1), store.scan({})])
    await store.close()
    const other = new DatabaseSync(path)
    other.exec(`
      CREATE TABLE former (
        key TEXT NOT NULL, revision INTEGER NOT NULL, kind TEXT NOT NULL, mesh TEXT NOT NULL, state TEXT NOT NULL,
        incarnation INTEGER NOT NULL, origin_revision INTEGER NOT NULL, created_at_ms INTEGER NOT NULL,
        modified_at_ms INTEGER NOT NULL, labels TEXT, spec TEXT, declared INTEGER, PRIMARY KEY (key, revision)
      ) WITHOUT ROWID;
      INSERT INTO former SELECT * FROM versions;
      DROP TABLE versions;
      ALTER TABLE former RENAME TO versions;
      CREATE INDEX versions_by_revision ON versions (revision, key);
      CREATE INDEX versions_by_kind ON versions (kind, key);
      PRAGMA user_version = 2`)
    other.close()
    const again = await openSqliteStore(deps, { path })
    expect(
      await Promise.all([again.head(), again.changesSince(0, 2), again.changesSince(0, 1), again.scan({})]),
    ).toEqual(told)
    expect((await again.history(key('a'))).map(({ revision }) => revision)).toEqual([2, 1])
    expect(await again.commit({ changes: [put('c', 1)], subject: 's', intent: 'i' })).toMatchObject({ ok: true })
    await again.close()
  })

  it('S7 a damaged database is refused with the reason', async () => {
    const store = await openSqliteStore(deps, { path })
    const changes = Array.from({ length: 500 }, (_unused, index) => ({
      op: 'put' as const,
      key: { origin: 'global', kind: 'Policy', mesh: 'm', name: `p${index}` },
      labels: {},
      spec: { text: 'x'.repeat(500) },
    }))
    await store.commit({ changes, subject: 's', intent: 'i' })
    await store.close()
    const bytes = readFileSync(path)
    bytes.fill(0x5a, bytes.length / 2, bytes.length / 2 + 8_192)
    writeFileSync(path, bytes)
    expect(await openError()).toContain(`cannot open store ${path}: expected a sound database, found it damaged (`)
  })

  it('S8 a database with a newer schema is refused with the reason', async () => {
    await (await openSqliteStore(deps, { path })).close()
    const other = new DatabaseSync(path)
    other.exec('PRAGMA user_version = 7')
    other.close()
    expect(await openError()).toBe(
      `cannot open store ${path}: expected schema version 3, found 7: a newer version of Zonemesh has changed the tables; start that version, or restore a backup from before`,
    )
  })

  it('S7 a missing folder, or a folder in place of the file, is refused with the reason', async () => {
    path = join(folder, 'nowhere', 'store.db')
    expect(await openError()).toContain(`cannot open store ${path}: expected`)
    path = join(folder, 'folder')
    mkdirSync(path)
    expect(await openError()).toBe(
      `cannot open store ${path}: expected a file in an existing folder that this user may write, found none`,
    )
  })

  it('S9 two owners never share a store, in one process or in two, and a killed owner leaves it free', async () => {
    const locked = `cannot open store ${path}: expected to be its only user, found it locked by another process`
    const store = await openSqliteStore(deps, { path })
    expect(await openError()).toBe(locked)
    expect(await store.commit({ changes: [], subject: 's', intent: 'i' })).toMatchObject({ ok: true })
    await store.close()

    const script = `
      import { openSqliteStore } from ${JSON.stringify(new URL('../../src/store/sqlite.ts', import.meta.url).href)}
      import { createVirtualClock, systemClock } from ${JSON.stringify(new URL('../../src/env/clock.ts', import.meta.url).href)}
      import { systemRandom } from ${JSON.stringify(new URL('../../src/env/random.ts', import.meta.url).href)}
      await openSqliteStore({ clock: systemClock, random: systemRandom }, { path: ${JSON.stringify(path)} })
      process.stdout.write('open')
      setInterval(() => {}, 1000)`
    const owner = spawn(process.execPath, [
      '--disable-warning=ExperimentalWarning',
      '--input-type=module',
      '-e',
      script,
    ])
    await once(owner.stdout, 'data')
    expect(await openError()).toBe(locked)
    owner.kill('SIGKILL')
    await once(owner, 'exit')
    expect(await openError()).toBe('opened')
  })
})

describe('a SQLite store on a failing disk', () => {
  it.each(['begin', 'version', 'before-commit'] as const)(
    'S10 after a disk error at %s the whole group is refused and leaves nothing, and later commits succeed',
    async (failing) => {
      let armed = false
      const faultPoint = (point: FaultPoint) => {
        if (armed && point === failing) throw new Error('no space left')
      }
      const store = await openSqliteStore({ ...deps, faultPoint }, { path })
      const commit = () =>
        store.commit({
          changes: [{ op: 'put', key: { origin: 'global', kind: 'K', mesh: '', name: 'a' }, labels: {}, spec: {} }],
          subject: 's',
          intent: 'i',
        })
      armed = true
      await expect(Promise.all([commit(), commit()])).rejects.toThrow('no space left')
      armed = false
      expect((await store.head()).revision).toBe(0)
      expect(await commit()).toMatchObject({ ok: true, position: { revision: 1 } })
      await store.close()
    },
  )
})

describe('the fault of a write', () => {
  it.each([
    ['a full disk', 13, true],
    ['a failing disk', 10, true],
    ['a failing read, by its extended code', 266, true],
    ['a read-only disk', 8, true],
    ['another fault of SQLite', 1, false],
    ['a fault without a code', undefined, false],
  ])(
    'S10 after %s the store is unavailable for a while only if an operator can repair it',
    async (_case, errcode, isPassing) => {
      const faultPoint = () => {
        throw Object.assign(new Error('planted'), errcode === undefined ? {} : { errcode })
      }
      const store = await openSqliteStore({ ...deps, faultPoint }, { path })
      const failed = await store.commit({ changes: [], subject: 's', intent: 'i' }).catch((cause: unknown) => cause)
      expect(failed).toMatchObject({ message: `cannot write store ${path}: planted` })
      expect(failed instanceof StoreUnavailableError).toBe(isPassing)
      await store.close()
    },
  )
})

describe('a SQLite store whose file is deleted or replaced', () => {
  const put = (name: string) => ({
    changes: [{ op: 'put', key: { origin: 'global', kind: 'K', mesh: '', name }, labels: {}, spec: {} } as const],
    subject: 's',
    intent: 'i',
  })

  it.each(['begin', 'version', 'before-commit', 'after-commit'] as const)(
    'S3 a commit during which the file is deleted, at %s, is not acknowledged, and the store continues when the file is back',
    async (point) => {
      let armed = false
      const faultPoint = (reached: FaultPoint) => {
        if (armed && reached === point) renameSync(path, `${path}.away`)
      }
      const store = await openSqliteStore({ ...deps, faultPoint }, { path })
      expect(await store.commit(put('before'))).toMatchObject({ ok: true })
      armed = true
      await expect(store.commit(put('lost'))).rejects.toThrow(/store\.db was deleted while this plane has it open/)
      armed = false
      await expect(store.commit(put('later'))).rejects.toThrow(StoreUnavailableError)
      await expect(store.raiseIncarnation(store.incarnation + 1)).rejects.toThrow(StoreUnavailableError)
      expect(store.fault()).toMatch(/was deleted/)
      renameSync(`${path}.away`, path)
      expect(await store.commit(put('after'))).toMatchObject({ ok: true })
      expect(store.fault()).toBeUndefined()
      await store.close()
    },
  )

  it('S3 the fault is noticed within a second without any write', async () => {
    const clock = createVirtualClock()
    const store = await openSqliteStore({ ...deps, clock }, { path })
    renameSync(path, `${path}.away`)
    writeFileSync(path, 'another file')
    clock.advance(1_000)
    expect(store.fault()).toMatch(/store\.db was replaced by another file/)
    await store.close()
  })
})
