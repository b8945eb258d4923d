import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { status } from '@grpc/grpc-js'
import { err, ok, type Result } from '@zonemesh/shared/base/base.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { FromProxySchema, FromZoneSchema } from '@zonemesh/shared/gen/zonemesh/proxy/v1/proxy_pb.js'
import { createLatest } from '@zonemesh/shared/streams/latest.ts'
import { expect, test } from 'vitest'
import type { NamesTable } from '../../src/names/names-feed.ts'
import type { Credentials, XdsDeps } from '../../src/xds/contract.ts'
import { createProxyQueries } from '../../src/xds/proxy-queries.ts'
import { runSession } from '../../src/xds/proxy-session.ts'
import { createCall, settle } from './call.ts'

type Message = NonNullable<NonNullable<Parameters<typeof create<typeof FromProxySchema>>[1]>['message']>
const hello = (more: object = {}): Message => ({
  case: 'hello',
  value: { proxyType: 'dataplane', mesh: 'default', name: 'web', ...more },
})
const namesOf = (revision: number, addresses: Record<string, string[]>, store = 's'): NamesTable => ({
  ...{ store, revision, ttlSeconds: 60, domain: 'mesh' },
  addressesByName: new Map(Object.entries(addresses)),
})

/** A session of a data plane with a zone that records its calls. */
function scene(changes: Partial<XdsDeps> = {}, token = 'token') {
  const events: unknown[] = []
  const clock = createVirtualClock()
  const names = createLatest<NamesTable | undefined>(undefined)
  const credentials: Credentials = { covers: () => ok(undefined) }
  const revoked: ((reason: string) => void)[] = []
  const deps = {
    log: silentLog,
    authenticate: async (given: string | undefined, proxy: unknown): Promise<Result<Credentials, string>> => {
      events.push(proxy)
      return given === 'token' ? ok(credentials) : err('a bad token')
    },
    holdToken: (_token: unknown, _proxy: unknown, end: (reason: string) => void) => {
      revoked.push(end)
      return { [Symbol.dispose]: () => void events.push('token released') }
    },
    openNames: (_proxy: unknown, facts: unknown) => {
      events.push(facts)
      return { names, close: () => void events.push('names closed') }
    },
    draining: async () => ok(undefined),
    envoyExited: async (_proxy: unknown, _credentials: unknown, exit: unknown) => void events.push(exit),
    ...changes,
  } as unknown as XdsDeps // a session uses only these members
  const queries = createProxyQueries(clock)
  const opened = createCall(token)
  const admitted: string[] = []
  const finished = runSession({ ...deps, queries }, opened.call, (peer) => admitted.push(peer))
  return {
    ...opened,
    ...{ events, names, admitted, finished, revoked, queries },
    async tell(message: Message) {
      opened.send(toBinary(FromProxySchema, create(FromProxySchema, { message })))
      await settle()
    },
    received: () => opened.written.splice(0).map((bytes) => fromBinary(FromZoneSchema, bytes).message),
  }
}

test('P29 a session is admitted by its token, sends names, receives exits and draining, and ends with its peer', async () => {
  const session = scene()
  await session.tell(hello({ part: 7, canBindPort80: true }))
  expect([session.admitted, session.headers.length]).toEqual([['peer'], 1])
  expect(session.events).toEqual([
    { type: 'dataplane', mesh: 'default', name: 'web' },
    { part: 7, canBindPort80: true },
  ])
  await session.tell({ case: 'envoyExited', value: { exitCode: 139, signal: 'SIGSEGV' } })
  await session.tell({ case: undefined })
  await session.tell(hello())
  expect(session.events.slice(2)).toEqual([{ code: 139, signal: 'SIGSEGV' }])
  expect(session.received()).toEqual([])
  await session.tell({ case: 'draining', value: {} })
  expect(session.received()).toMatchObject([{ case: 'removed' }])
  session.end()
  await session.finished
  expect(session.events.slice(3)).toEqual(['names closed', 'token released'])
  expect(session.isEnded()).toBe(true)
  expect(session.statuses).toEqual([])
  const plain = scene()
  await plain.tell(hello())
  expect(plain.events[1]).toEqual({ canBindPort80: false })
  plain.end()
  await plain.finished
})

test.each<[string, Message | Uint8Array, string, number, RegExp]>([
  ['bytes that are no message', Uint8Array.from([0xff]), 'token', status.INVALID_ARGUMENT, /^expected a message/],
  ['another first message', { case: 'draining', value: {} }, 'token', status.INVALID_ARGUMENT, /begins with hello$/],
  ['an unknown type', hello({ proxyType: 'x' }), 'token', status.INVALID_ARGUMENT, /^unknown proxy type x$/],
  ['a bad token', hello(), 'other', status.UNAUTHENTICATED, /^a bad token$/],
])('P29 a session is refused: %s', async (_title, message, token, code, details) => {
  const session = scene({}, token)
  if (message instanceof Uint8Array) session.send(message)
  else await session.tell(message)
  await session.finished
  expect(session.statuses).toEqual([{ code, details: expect.stringMatching(details) }])
  expect([session.admitted, session.headers]).toEqual([[], []])
})

test('P29 a session that may not remove its row gets the reason and stays, and other bytes end it', async () => {
  const session = scene({ draining: async () => err('not this proxy') })
  await session.tell(hello())
  await session.tell({ case: 'draining', value: {} })
  expect(session.statuses).toEqual([{ code: status.PERMISSION_DENIED, details: 'not this proxy' }])
  expect(session.received()).toEqual([])
  session.end()
  await session.finished
  const other = scene()
  await other.tell(hello())
  other.send(Uint8Array.from([0xff]))
  await other.finished
  expect(other.statuses).toEqual([{ code: status.INVALID_ARGUMENT, details: 'expected a message of a proxy' }])
})

test('P29 a session ends when its token is revoked, and with the error of a failure', async () => {
  const session = scene()
  await session.tell(hello())
  session.revoked[0]?.('the token was revoked')
  session.end()
  await session.finished
  expect(session.statuses).toEqual([{ code: status.UNAUTHENTICATED, details: 'the token was revoked' }])
  const failing = scene({ authenticate: () => Promise.reject(new Error('the store failed')) })
  await failing.tell(hello())
  await failing.finished
  expect(failing.statuses).toEqual([{ code: status.INTERNAL, details: 'the store failed' }])
  const silent = scene()
  silent.end()
  await silent.finished
  expect(silent.statuses).toEqual([])
})

test('P29 names are sent as differences, with a reset at first and for another store', async () => {
  const session = scene()
  await session.tell(hello())
  session.names.set(namesOf(1, { a: ['1.1.1.1'], b: ['1.1.1.2'] }))
  await settle()
  const empty = { reset: false, changed: [], removed: [], ttlSeconds: 60, domain: 'mesh', store: 's' }
  const values = () => session.received().map((message) => message.value)
  expect(values()).toMatchObject([
    { ...empty, reset: true, revision: 1n, changed: [{ name: 'a', addresses: ['1.1.1.1'] }, { name: 'b' }] },
  ])
  session.names.set(namesOf(2, { a: ['1.1.1.1'], c: ['1.1.1.3'] }))
  await settle()
  expect(values()).toMatchObject([{ ...empty, revision: 2n, changed: [{ name: 'c' }], removed: ['b'] }])
  // An equal table still has its revision.
  session.names.set(namesOf(3, { a: ['1.1.1.1'], c: ['1.1.1.3'] }))
  await settle()
  expect(values()).toMatchObject([{ ...empty, revision: 3n }])
  session.names.set(namesOf(1, { a: ['1.1.1.1'] }, 'other'))
  await settle()
  expect(values()).toMatchObject([{ ...empty, store: 'other', reset: true, changed: [{ name: 'a' }] }])
  session.end()
  await session.finished
})

test.each<[string, object, boolean]>([
  ['the same store and revision', { namesStore: 's', namesRevision: 5n }, true],
  ['an older revision', { namesStore: 's', namesRevision: 4n }, false],
  ['another store', { namesStore: 'x', namesRevision: 5n }, false],
])('P29 a proxy that holds the present names gets none: %s', async (_title, more, isKnown) => {
  const session = scene()
  session.names.set(namesOf(5, { a: ['1.1.1.1'] }))
  await session.tell(hello(more))
  expect(session.received()).toHaveLength(isKnown ? 0 : 1)
  // From then on it gets differences.
  session.names.set(namesOf(6, { a: ['1.1.1.1'], b: ['1.1.1.2'] }))
  await settle()
  expect(session.received()).toMatchObject([{ value: { reset: false, changed: [{ name: 'b' }] } }])
  session.end()
  await session.finished
})

test('P29 a message has at most 1,000 names, only the first one resets and removes, and only the last one has the revision', async () => {
  const session = scene()
  await session.tell(hello())
  const many = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`n${index}`, ['1.1.1.1']]))
  const shown = () =>
    session.received().map((message) => {
      if (message.case !== 'names') return message.case
      const { reset, revision, changed, removed } = message.value
      return [reset, Number(revision), changed.length, removed.length]
    })
  session.names.set(namesOf(1, many(1000)))
  await settle()
  expect(shown()).toEqual([[true, 1, 1000, 0]])
  const next = Object.fromEntries(Object.keys(many(2001)).map((name) => [`x${name}`, ['1.1.1.2']]))
  session.names.set(namesOf(2, next))
  await settle()
  expect(shown()).toEqual([
    [false, 0, 1000, 1000],
    [false, 0, 1000, 0],
    [false, 2, 1, 0],
  ])
  session.end()
  await session.finished
})

const web = { type: 'dataplane', mesh: 'default', name: 'web' } as const
const never = new AbortController().signal

test('QX17 a zone asks the newest session of a proxy, and the end of it ends the query', async () => {
  const session = scene()
  await session.tell(hello({ answersQueries: true }))
  const asked = session.queries.ask(web, 'envoy', { view: 'stats' }, never)
  const [question] = session.received()
  expect(question).toMatchObject({ case: 'query', value: { part: { case: 'ask', value: { name: 'envoy' } } } })
  await session.tell({
    case: 'query',
    value: { id: 1n, part: { case: 'fault', value: { code: 'refused', reason: 'no' } } },
  })
  expect(await asked).toEqual(err({ code: 'refused', reason: 'no' }))
  const left = session.queries.ask(web, 'envoy', {}, never)
  session.end()
  await session.finished
  expect(await left).toEqual(err({ code: 'ended', reason: 'the session of dataplane "web" has ended' }))
  expect(await session.queries.ask(web, 'envoy', {}, never)).toMatchObject(
    err({ code: 'unsupported', reason: expect.stringContaining('has no session of `zonemesh dataplane`') }),
  )
})

test('QX17 a proxy of a version without queries is not asked', async () => {
  const session = scene()
  await session.tell(hello({ version: '0.0.1' }))
  expect(await session.queries.ask(web, 'envoy', {}, never)).toEqual(
    err({
      code: 'unsupported',
      reason: 'dataplane "web" runs version 0.0.1, which answers no queries: upgrade it',
    }),
  )
  expect(session.received()).toEqual([])
  session.end()
  await session.finished
})

test('QX17 what a proxy asks, or answers without a question, changes nothing', async () => {
  const session = scene()
  await session.tell(hello({ answersQueries: true }))
  await session.tell({ case: 'query', value: { id: 9n, part: { case: 'answer', value: { last: true } } } })
  await session.tell({ case: 'query', value: { id: 9n, part: { case: undefined } } })
  await session.tell({ case: 'query', value: { id: 1n, part: { case: 'ask', value: { name: 'sight' } } } })
  await settle()
  expect(session.received()).toMatchObject([
    { case: 'query', value: { id: 1n, part: { case: 'fault', value: { code: 'unknown' } } } },
  ])
  session.end()
  await session.finished
  expect(session.statuses).toEqual([])
})
