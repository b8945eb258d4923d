import { createVirtualClock, systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { StoreOpenError, StoreUnavailableError } from '@zonemesh/shared/store/errors.ts'
import { openPostgresStore } from '@zonemesh/shared/store/postgres.ts'
import type { PostgresDeps, PostgresOptions } from '@zonemesh/shared/store/postgres-open.ts'
import { type Migration, ownMigrations } from '@zonemesh/shared/store/postgres-schema.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { traceparentOf } from '../../packages/shared/test/env/recording-tracer.ts'
import { until } from '../e2e/rig.ts'
import { type Place, startCuttingProxy } from './postgres-proxy.ts'
import type { PostgresServer } from './postgres-server.ts'
import { keyOf, put } from './store-samples.ts'
import { nextMark, wakeUpContract } from './wake-ups.ts'

const why = { subject: 'anna', intent: 'test' }

/** The contract of a PostgreSQL store that several processes share, on a server that may crash. */
export function replicasContract(name: string, server: () => PostgresServer): void {
  const { schema, urlOf, replica } = createReplicas(server)
  wakeUpContract(name, {
    open: (clock) => replica({}, clock ? { clock } : {}),
    async interrupt() {
      const sessions = "pg_stat_activity WHERE application_name = 'zonemesh'"
      const ended = await server().sql(`SELECT pg_terminate_backend(pid) FROM ${sessions}`)
      expect(ended.length).toBeGreaterThan(0)
    },
  })

  describe(`${name}: several processes`, () => {
    it('S12 processes that start at the same time create one store', async () => {
      const stores = await Promise.all([replica(), replica(), replica(), replica()])
      expect(new Set(stores.map(({ id, incarnation }) => `${id} ${incarnation}`)).size).toBe(1)
    })

    it('S32 replicas are upgraded one by one and back: older ones go on using tables whose migration they tolerate', async () => {
      const later: Migration[] = [
        ...ownMigrations,
        {
          statements: (own) => `ALTER TABLE ${own}.records ADD COLUMN trace text`,
          usableFrom: 1,
        },
      ]
      const [old, other] = [await replica(), await replica()]
      await old.commit({ ...why, changes: [put('a', 1)] })
      // One replica is upgraded while the other one is writing.
      const writing = Array.from({ length: 20 }, (_, index) => other.commit({ ...why, changes: [put('b', index)] }))
      await old.close()
      const upgraded = await replica({ migrations: later })
      expect((await Promise.all(writing)).every(({ ok }) => ok)).toBe(true)
      const woken = nextMark(other)
      await upgraded.commit({ ...why, changes: [put('a', 2)] })
      await woken
      expect((await other.get(keyOf('a')))?.row?.spec).toEqual({ value: 2 })
      expect((await other.commit({ ...why, changes: [put('a', 3)] })).ok).toBe(true)
      expect((await upgraded.get(keyOf('a')))?.row?.spec).toEqual({ value: 3 })
      // Back: the former software opens the migrated tables again, and an upgraded one migrates nothing twice.
      const again = await replica()
      expect((await again.commit({ ...why, changes: [put('a', 4)] })).ok).toBe(true)
      const twice = await replica({ migrations: later })
      expect((await twice.get(keyOf('a')))?.row?.spec).toEqual({ value: 4 })
      const breaking = [...later, { statements: () => 'SELECT 1', usableFrom: 4 }]
      for (const one of [other, upgraded, again, twice]) await one.close()
      await (await replica({ migrations: breaking })).close()
      for (const migrations of [[], ownMigrations, later])
        await expect(replica({ migrations })).rejects.toThrow(/expected schema version [123], found 4/)
    })

    it('OT3 a store of software without tracing is migrated, and that software goes on using it', async () => {
      const store = await replica()
      await store.commit({ ...why, changes: [put('a', 1)] })
      await store.close()
      await server().sql(`ALTER TABLE ${schema()}.records DROP COLUMN traceparent;
        UPDATE ${schema()}.meta SET value = '1' WHERE name = 'schema'`)
      const upgraded = await replica()
      await upgraded.commit({ ...why, changes: [put('a', 2)], traceparent: traceparentOf(2) })
      // What the former software does: it accepts the version of the tables, and adds records of six columns.
      const meta = await server().sql(
        `SELECT name, value FROM ${schema()}.meta WHERE name IN ('schema', 'usable-from')`,
      )
      expect(Object.fromEntries(meta.map(({ name, value }) => [name, value]))).toEqual({
        schema: '2',
        'usable-from': '1',
      })
      await server().sql(`INSERT INTO ${schema()}.records SELECT * FROM unnest(ARRAY[3::bigint], ARRAY['ab'], ARRAY['s'],
        ARRAY['i'], ARRAY[1::bigint], ARRAY[0::bigint])`)
      const records = await upgraded.records({ after: 0, limit: 10 })
      expect(records.map(({ traceparent }) => traceparent)).toEqual([undefined, traceparentOf(2), undefined])
    })

    it('S33 a migration that running replicas do not tolerate waits until they have stopped, and one that missed it ends', async () => {
      const breaking: Migration[] = [...ownMigrations, { statements: () => 'SELECT 1', usableFrom: 3 }]
      const failures: string[] = []
      const old = await replica({}, { clock: systemClock, fail: ({ message }) => failures.push(message) })
      await expect(replica({ migrations: breaking })).rejects.toThrow(
        /expected no running replica of schema version [12], found one: .*; stop all replicas, then start this one/,
      )
      expect((await old.commit({ ...why, changes: [put('a', 1)] })).ok).toBe(true)
      // The server is away, and the tables change before this replica has connected again.
      await server().sql(`UPDATE ${schema()}.meta SET value = '3' WHERE name = 'usable-from'`)
      await server().sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'zonemesh'")
      await until(
        'it ends',
        () => old.mark().catch(() => failures),
        () => failures.length > 0,
      )
      expect(failures[0]).toMatch(/expected tables for schema version 2, found ones for 3 or newer; start the version/)
      await expect(old.commit({ ...why, changes: [put('a', 2)] })).rejects.toBeInstanceOf(StoreUnavailableError)
    })

    it('S14 exactly one of several writers in two processes that expect the same revision wins', async () => {
      const stores = [await replica(), await replica()]
      await stores[0]?.commit({ ...why, changes: [put('counter', 0)] })
      const increment = async (store: Store): Promise<void> => {
        const found = await store.get(keyOf('counter'))
        const change = put('counter', Number(found?.row?.spec['value']) + 1)
        const expectation = { revision: found?.revision ?? 0 }
        const outcome = await store.commit({ ...why, changes: [{ ...change, expect: expectation }] })
        if (!outcome.ok) return increment(store)
      }
      await Promise.all(stores.flatMap((store) => Array.from({ length: 20 }, () => increment(store))))
      expect((await stores[1]?.get(keyOf('counter')))?.row?.spec).toEqual({ value: 40 })
    })

    it('S12 a position of one process is valid at the other at once, and a raised incarnation counts there', async () => {
      const [one, other] = [await replica(), await replica()]
      await one.raiseIncarnation(one.incarnation + 7)
      const outcome = await one.commit({ ...why, changes: [put('a', 1)] })
      expect(outcome.ok && (await other.standing(outcome.position))).toBe('valid')
      await other.commit({ ...why, changes: [put('b', 1)] })
      expect((await one.get(keyOf('b')))?.stamp.incarnation).toBe(one.incarnation)
      expect(other.incarnation).toBe(one.incarnation)
    })

    it('S15 an emptied and recreated database is another store, and no process writes to it as to the old one', async () => {
      const store = await replica()
      await store.commit({ ...why, changes: [put('a', 1)] })
      await server().sql(`DROP SCHEMA ${schema()} CASCADE`)
      await expect(store.commit({ ...why, changes: [put('a', 2)] })).rejects.toThrow(/does not exist/)
      const another = await replica()
      await expect(store.commit({ ...why, changes: [put('a', 2)] })).rejects.toThrow(`expected store ${store.id}`)
      await expect(store.mark()).rejects.toThrow('it was replaced')
      expect((await another.head()).revision).toBe(0)
    })
  })

  describe(`${name}: a commit whose acknowledgement is lost`, () => {
    const change = { ...put('a', 1), expect: { absent: true } } as const

    it.each(['unanswered', 'late'] as const)(
      'S16 if the acknowledgement is %s the commit was made, and its caller learns this',
      async (cut) => {
        using proxy = await startCuttingProxy(server())
        const store = await replica({ url: urlOf(proxy) })
        proxy.cutNext(cut)
        const outcome = await store.commit({ ...why, changes: [change] })
        expect(outcome).toMatchObject({ ok: true, position: { revision: 1 } })
        expect(await store.head()).toEqual(outcome.ok && outcome.position)
        expect(await store.history(keyOf('a'))).toHaveLength(1)
      },
    )

    it('S16 if the commit is lost it was not made, and its caller learns this and may repeat it', async () => {
      using proxy = await startCuttingProxy(server())
      const store = await replica({ url: urlOf(proxy) })
      proxy.cutNext('lost')
      await expect(store.commit({ ...why, changes: [change] })).rejects.toBeInstanceOf(StoreUnavailableError)
      expect(await store.get(keyOf('a'))).toBeUndefined()
      expect(await store.commit({ ...why, changes: [change] })).toMatchObject({ ok: true, position: { revision: 1 } })
    })

    it('S16 a mark that a lost commit should release is released, or its caller learns that it is not', async () => {
      using proxy = await startCuttingProxy(server())
      const store = await replica({ url: urlOf(proxy) })
      await store.commitRound([{ ...why, changes: [put('a', 1)] }], { unmarked: true })
      proxy.cutNext('lost')
      await expect(store.commit({ ...why, changes: [] })).rejects.toBeInstanceOf(StoreUnavailableError)
      expect((await store.mark()).revision).toBe(0)
      proxy.cutNext('unanswered')
      expect(await store.commit({ ...why, changes: [] })).toMatchObject({ ok: true })
      expect((await store.mark()).revision).toBe(1)
    })
  })

  describe(`${name}: an outage of the server`, () => {
    it('S17 while the server is away every call rejects as unavailable, and later nothing is lost, marks notify and commits continue', async () => {
      const store = await replica({}, { clock: systemClock })
      const before = await store.commit({ ...why, changes: [put('a', 1)] })
      const asks = [
        () => store.commit({ ...why, changes: [put('b', 1)] }),
        () => store.get(keyOf('a')),
        () => store.mark(),
        () => store.scan({}),
        () => store.changesSince(0, 1),
        () => store.notes.read(''),
      ]
      await server().crash()
      for (const ask of asks) await expect(ask()).rejects.toBeInstanceOf(StoreUnavailableError)
      const woken = nextMark(store)
      await server().start()
      await woken
      expect(before).toMatchObject({ ok: true, position: await store.head() })
      expect(await store.commit({ ...why, changes: [put('b', 1)] })).toMatchObject({
        ok: true,
        position: { revision: 2 },
      })
    })
  })

  describe(`${name}: a server that lost the newest commits`, () => {
    /** Removes the commits after a revision from the database, as if a standby without them had taken over. */
    async function loseAfter(revision: number): Promise<void> {
      const head = `SELECT revision, commit_id FROM ${schema()}.records WHERE revision = ${revision}`
      await server().sql(`
        DELETE FROM ${schema()}.versions WHERE revision > ${revision};
        DELETE FROM ${schema()}.records WHERE revision > ${revision};
        UPDATE ${schema()}.head SET (revision, commit_id) = (${head}), (mark, mark_commit_id) = (${head})`)
      await server().sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'zonemesh'")
    }

    it.each([0, 1, 2])(
      'S31 a process that has seen a lost commit uses the store no longer and reports it, after %i newer commits',
      async (newer) => {
        const failures: string[] = []
        const store = await replica({}, { clock: systemClock, fail: ({ message }) => failures.push(message) })
        await store.commit({ ...why, changes: [put('a', 1)] })
        const kept = await store.mark()
        const lost = await store.commit({ ...why, changes: [put('a', 2)] })
        await loseAfter(1)
        const next = await replica()
        for (let value = 0; value < newer; value += 1) await next.commit({ ...why, changes: [put('b', value)] })
        await until(
          'the process reports it',
          () => store.mark().catch(() => failures),
          () => failures.length > 0,
        )
        const found = newer === 0 ? 'revision 1' : 'commit [0-9a-f]+'
        const { commitId } = lost.ok ? lost.position : kept
        const reason = new RegExp(
          `expected revision 2 with commit ${commitId}, .*, found ${found}: .* rolled back; start`,
        )
        const asks = [
          () => store.commit({ ...why, changes: [put('a', 3)] }),
          () => store.get(keyOf('a')),
          () => store.scan({}),
          () => store.changesSince(0, 1),
          () => store.notes.read(''),
          () => store.standing(kept),
        ]
        for (const ask of asks) await expect(ask()).rejects.toThrow(reason)
        expect(failures).toEqual([expect.stringMatching(reason)])
        // The next process has not seen the lost commit.
        expect(await next.standing(kept)).toBe('valid')
        expect((await next.head()).revision).toBe(newer + 1)
      },
    )
  })

  describe(`${name}: errors at opening`, () => {
    const refused = async (options: Partial<PostgresOptions>): Promise<string> => {
      const thrown: unknown = await replica(options).catch((cause: unknown) => cause)
      if (!(thrown instanceof StoreOpenError))
        throw new Error('it was opened, or failed in another way', { cause: thrown })
      expect(thrown.message).not.toContain(server().password)
      expect(thrown.message).not.toContain('\n')
      return thrown.message
    }

    it('S7 a missing server, user, password or database is reported in one sentence', async () => {
      const url = urlOf()
      expect(await refused({ url: urlOf({ host: '127.0.0.1', port: 1 }) })).toMatch(
        /server that answers, found: .*ECONNREFUSED/,
      )
      expect(await refused({ url: url.replace(server().password, 'wrong') })).toMatch(
        /password that the server accepts/,
      )
      expect(await refused({ url: url.replace('/postgres?', '/none?') })).toMatch(
        /an existing database, found: .*"none"/,
      )
      expect(await refused({ url: url.replace(':', '://[') })).toMatch(/expected an address such as postgres:/)
      expect(await refused({ url: `${url}-x` })).toMatch(/expected a schema of .*found "replicas_\d+-x"/)
    })

    it('S7 a database of another application, version or owner is refused', async () => {
      await server().sql(`CREATE SCHEMA ${schema()}; CREATE TABLE ${schema()}.theirs (a int)`)
      expect(await refused({})).toMatch(
        /expected a Zonemesh store or an empty schema, found another application's tables/,
      )
      await server().sql(`DROP TABLE ${schema()}.theirs`)
      const store = await replica({ owner: 'the global' })
      await store.close()
      expect(await refused({ owner: 'zone "east"' })).toMatch(/a store of zone "east", found the one of the global/)
      await server().sql(`UPDATE ${schema()}.meta SET value = '99' WHERE name IN ('schema', 'usable-from')`)
      expect(await refused({ owner: 'the global' })).toMatch(/expected schema version 2, found 99/)
    })
  })
}

/** The stores of a test, which share one schema. They are closed and the schema is dropped after each test. */
function createReplicas(server: () => PostgresServer) {
  let schemas = 0
  const schema = () => `replicas_${schemas}`
  const urlOf = (place?: Place) => server().url(schema(), place)
  const opened: Store[] = []
  beforeEach(() => {
    schemas += 1
  })
  afterEach(async () => {
    for (const store of opened.splice(0)) await store.close()
    await server().sql(`DROP SCHEMA IF EXISTS ${schema()} CASCADE`)
  })
  return {
    schema,
    urlOf,
    /** Another replica. By default its clock stands still, so that no poll replaces a missing hint. */
    async replica(options: Partial<PostgresOptions> = {}, deps: Partial<PostgresDeps> = {}): Promise<Store> {
      const all = { clock: createVirtualClock(1_000), random: systemRandom, log: silentLog, ...deps }
      const store = await openPostgresStore(all, { url: urlOf(), ...options })
      opened.push(store)
      return store
    },
  }
}
