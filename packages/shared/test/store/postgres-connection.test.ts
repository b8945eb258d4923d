import pg from 'pg'
import { expect, test } from 'vitest'
import { StoreOpenError, StoreUnavailableError } from '../../src/store/errors.ts'
import { askOf, placeOf, reasonOf } from '../../src/store/postgres-connection.ts'

const url = 'postgres://anna:secret@db.example:5433/mesh'
const place = placeOf(`${url}?schema=abc`)

test('S7 the place of a PostgreSQL store is its server, database and schema, without user and password', () => {
  expect([place.schema, place.text]).toEqual(['abc', 'postgres://db.example:5433/mesh?schema=abc'])
  expect(placeOf(url)).toMatchObject({ schema: 'zonemesh', text: 'postgres://db.example:5433/mesh?schema=zonemesh' })
})

test.each([
  ['a'.repeat(48), true],
  ['a'.repeat(49), false],
  ['_a1', true],
  ['1a', false],
  ['A', false],
  ['a-b', false],
])('S7 whether "%s" is a schema: %s', (schema, isValid) => {
  const open = () => placeOf(`${url}?schema=${schema}`).schema
  if (isValid) expect(open()).toBe(schema)
  else expect(open).toThrow(StoreOpenError)
})

test('S7 an address that cannot be parsed is refused without its password', () => {
  expect(() => placeOf('postgres://anna:secret@[db/mesh')).toThrow(/^cannot open store: expected an address such as/)
  expect(() => placeOf('postgres://anna:secret@[db/mesh')).not.toThrow(/secret/)
})

test('S17 a server has 5 s to connect, 10 s for a statement or an idle transaction, and 15 s for any answer', () => {
  expect(place.config).toMatchObject({
    keepAlive: true,
    connectionTimeoutMillis: 5_000,
    statement_timeout: 10_000,
    lock_timeout: 10_000,
    idle_in_transaction_session_timeout: 10_000,
    query_timeout: 15_000,
  })
})

/** Asks over a connection of the driver that answers every query with this result. */
function asking(result: unknown) {
  const asked: unknown[] = []
  const client = {
    async query(query: unknown) {
      asked.push(query)
      if (result instanceof Error) throw result
      return result
    },
  }
  // `askOf` uses only this member.
  return { asked, ask: askOf(client as unknown as pg.ClientBase, place) }
}

test('S17 a statement returns its rows, and several statements those of the last one', async () => {
  const one = asking({ rows: [{ a: 1 }] })
  expect(await one.ask({ text: 'SELECT $1', name: 'n' }, ['x'])).toEqual([{ a: 1 }])
  expect(await one.ask({ text: 'SELECT 1' })).toEqual([{ a: 1 }])
  // With an empty list of values the driver would accept only one statement.
  expect(one.asked).toEqual([{ text: 'SELECT $1', name: 'n', values: ['x'] }, { text: 'SELECT 1' }])
  expect(await asking([{ rows: [{ a: 1 }] }, { rows: [{ a: 2 }] }]).ask({ text: 'BEGIN; SELECT 2' })).toEqual([
    { a: 2 },
  ])
  expect(await asking([]).ask({ text: '' })).toEqual([])
})

/** An error of the server with this SQLSTATE. */
const failed = (code: string | undefined) =>
  Object.assign(new pg.DatabaseError('no such table', 1, 'error'), code === undefined ? {} : { code })

test.each([
  ['a connection that is lost', new Error('Connection terminated'), true],
  ['08006, a failed connection', failed('08006'), true],
  ['40001, a rollback', failed('40001'), true],
  ['53300, too many connections', failed('53300'), true],
  ['57P01, a shutdown', failed('57P01'), true],
  ['25006, a read-only server', failed('25006'), true],
  ['25P03, a transaction that was idle', failed('25P03'), true],
  ['55P03, a lock that was not available', failed('55P03'), true],
  ['25001, another state of a transaction', failed('25001'), false],
  ['42P01, a missing table', failed('42P01'), false],
  ['an error without a code', failed(undefined), false],
])('S17 whether a call may succeed later after an error of the server: %s', async (_what, error, isOutage) => {
  const thrown: unknown = await asking(error)
    .ask({ text: 'SELECT 1' })
    .catch((cause: unknown) => cause)
  expect(thrown instanceof StoreUnavailableError).toBe(isOutage)
  expect(thrown).toMatchObject({ cause: error, message: expect.stringContaining(place.text) })
})

test.each([
  ['its text', Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }), 'refused'],
  ['its code, if it has no text', Object.assign(new AggregateError([]), { code: 'ECONNREFUSED' }), 'ECONNREFUSED'],
  ['a sentence, if it has neither', new Error(''), 'no reason given'],
  ['the value, if it is no error', 'stopped', 'stopped'],
])('S7 the reason of an error is %s', (_what, error, reason) => expect(reasonOf(error)).toBe(reason))
