import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { status } from '@grpc/grpc-js'
import { typeUrls } from '@zonemesh/core/emit/table.ts'
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from '@zonemesh/core/gen/envoy/service/discovery/v3/discovery_pb.js'
import { StatusSchema } from '@zonemesh/core/gen/google/rpc/status_pb.js'
import { err, ok, type Result } from '@zonemesh/shared/base/base.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { createLatest } from '@zonemesh/shared/streams/latest.ts'
import { expect, test } from 'vitest'
import { defaultAdsOptions, type ResolvedTable } from '../../src/xds/ads-state.ts'
import type { Credentials, XdsDeps, XdsObserver } from '../../src/xds/contract.ts'
import { createProven } from '../../src/xds/proven.ts'
import { runStream, type StreamShared } from '../../src/xds/stream.ts'
import { one } from './ads-script.ts'
import { createCall, settle } from './call.ts'

type Request = MessageInitShape<typeof DeltaDiscoveryRequestSchema>
const { cluster } = typeUrls

/** A zone that records the calls of its streams, in order. */
function scene(changes: Partial<XdsDeps> = {}, bytesMax = defaultAdsOptions.bytesMax) {
  const clock = createVirtualClock(1_000)
  const events: unknown[] = []
  const table = createLatest<ResolvedTable | undefined>(undefined)
  const revoked: ((reason: string) => void)[] = []
  const credentials: Credentials = { covers: () => ok(undefined) }
  const deps = {
    ...{ clock, log: silentLog, random: createSeededRandom(1) },
    authenticate: async (token: string | undefined): Promise<Result<Credentials, string>> =>
      token === 'token' ? ok(credentials) : err('a bad token'),
    holdToken: (_token: unknown, _proxy: unknown, end: (reason: string) => void) => {
      revoked.push(end)
      return { [Symbol.dispose]: () => void events.push('token released') }
    },
    opened: async ({ proxy, connectedAtMs }: { proxy: { name: string }; connectedAtMs: number }) => {
      events.push(`opened ${proxy.name} at ${connectedAtMs}`)
      return ok(undefined)
    },
    closed: ({ proxy }: { proxy: { name: string } }) => void events.push(`closed ${proxy.name}`),
    openTables: () => ({ table, close: () => void events.push('feed closed') }),
    refused: (_proxy: unknown, { version, detail }: { version: string; detail: string }) =>
      void events.push(`refused ${version}: ${detail}`),
    absolved: (_proxy: unknown, { name }: { name: string }) => void events.push(`absolved ${name}`),
    served: (_proxy: unknown, mark: number) => void events.push(`served ${mark}`),
    ...changes,
  } as unknown as XdsDeps // a stream uses only these members
  const { doubtful: _none, ...options } = defaultAdsOptions
  const shared: StreamShared = {
    proven: createProven(),
    options: { ...options, bytesMax },
    live: new Map(),
    doubtful: new Map(),
  }
  return {
    ...{ clock, events, shared, revoked },
    give: (mark: number, ...clusters: ReturnType<typeof one>[]) =>
      table.set({ mark, resources: new Map([[cluster, new Map(clusters.map((each) => [each.name, each]))]]) }),
    open(token?: string) {
      const opened = createCall(token)
      const admitted: string[] = []
      const finished = runStream(deps, shared, opened.call, (peer) => admitted.push(peer))
      return {
        ...opened,
        admitted,
        finished,
        ask: async (request: Request) => {
          opened.send(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, request)))
          await settle()
        },
        sent: () =>
          opened.written.splice(0).map((bytes) => {
            const { nonce, resources, removedResources } = fromBinary(DeltaDiscoveryResponseSchema, bytes)
            return [
              nonce,
              ...resources.map(({ version }) => version),
              ...removedResources.map((name) => `-${name}`),
            ].join(' ')
          }),
      }
    },
  }
}
const node = { id: 'default.web', metadata: { 'dataplane.proxyType': 'dataplane' } }
const first = { node, typeUrl: cluster }
const ack = (nonce: string) => ({ typeUrl: cluster, responseNonce: nonce })

test('X29 a stream is admitted with its token, serves tables, reports verdicts, and ends with its peer', async () => {
  const { open, give, events, shared } = scene()
  const stream = open()
  await stream.ask(first)
  expect([stream.admitted, events, shared.live.size]).toEqual([['peer'], ['opened web at 1000'], 1])
  give(1, one('a', 1))
  await settle()
  expect(stream.sent()).toEqual(['1 a@1'])
  await stream.ask({ ...ack('1'), errorDetail: create(StatusSchema, { message: 'bad' }) })
  give(2, one('a', 2))
  await settle()
  expect(stream.sent()).toEqual(['2 a@2'])
  await stream.ask({ typeUrl: typeUrls.listener })
  const [live] = shared.live.values()
  expect(live?.refused().get(cluster)).toEqual(new Map([['a', 'bad']]))
  await stream.ask(ack('2'))
  await stream.ask({ typeUrl: typeUrls.listener, responseNonce: '3' })
  expect(events.slice(1)).toEqual(['refused a@1: bad', 'absolved a', 'served 2'])
  expect(live?.accepted().get(cluster)).toEqual(new Map([['a', 'a@2']]))
  expect(live).toMatchObject({
    proxy: { type: 'dataplane', mesh: 'default', name: 'web' },
    facts: { canBindPort80: false },
  })
  expect([shared.proven.has('a@1'), shared.proven.has('a@2')]).toEqual([false, true])
  stream.end()
  await stream.finished
  expect(events.slice(4)).toEqual(['feed closed', 'closed web', 'token released'])
  expect([shared.live.size, shared.doubtful.size, stream.statuses]).toEqual([0, 0, []])
  expect(stream.isEnded()).toBe(true)
  give(3, one('a', 3))
  await settle()
  expect(stream.sent().slice(1)).toEqual([])
})

test('X29 a stream that ends cancels the timers of its step at once', async () => {
  const clock = createVirtualClock(1_000)
  const waiting = new Set<Disposable>()
  const after = (delayMs: number, task: () => void): Disposable => {
    const timer = clock.after(delayMs, task)
    const counted = {
      [Symbol.dispose]() {
        waiting.delete(counted)
        timer[Symbol.dispose]()
      },
    }
    waiting.add(counted)
    return counted
  }
  const { open, give, shared } = scene({ clock: { ...clock, after } })
  const stream = open()
  await stream.ask(first)
  await stream.ask({ typeUrl: typeUrls.listener })
  give(1, one('a', 1))
  await settle()
  await stream.ask(ack('2'))
  give(2)
  await settle()
  // The removed cluster waits for the requests that use it.
  expect(waiting.size).toBe(1)
  const [live] = shared.live.values()
  const replaced = live?.replace()
  expect(waiting.size).toBe(0)
  await replaced
})

test.each<[string, Uint8Array | Request, string, number, RegExp]>([
  ['bytes that are no request', Uint8Array.from([0xff]), 'token', status.INVALID_ARGUMENT, /^expected a Delta/],
  ['no node', { typeUrl: cluster }, 'token', status.INVALID_ARGUMENT, /carries no node/],
  ['a bad token', first, 'other', status.UNAUTHENTICATED, /^a bad token$/],
])('X29 a stream is refused: %s', async (_title, message, token, code, details) => {
  const { open, events } = scene()
  const stream = open(token)
  if (message instanceof Uint8Array) stream.send(message)
  else await stream.ask(message)
  await stream.finished
  expect(stream.statuses).toEqual([{ code, details: expect.stringMatching(details) }])
  expect([stream.admitted, events]).toEqual([[], []])
})

test('X29 a stream that the zone does not register ends with the reason, and one that fails with its error', async () => {
  const refusing = scene({ opened: async () => err('the proxy is draining') })
  const refused = refusing.open()
  await refused.ask(first)
  await refused.finished
  expect(refused.statuses).toEqual([{ code: status.FAILED_PRECONDITION, details: 'the proxy is draining' }])
  expect([refusing.events, refusing.shared.live.size]).toEqual([['token released'], 0])
  const failing = scene({ authenticate: () => Promise.reject(new Error('the store failed')) })
  const failed = failing.open()
  await failed.ask(first)
  await failed.finished
  expect(failed.statuses).toEqual([{ code: status.INTERNAL, details: 'the store failed' }])
  const silent = scene().open()
  silent.end()
  await silent.finished
  expect(silent.statuses).toEqual([])
})

test.each<[string, Uint8Array | Request, number, RegExp]>([
  ['other bytes', Uint8Array.from([0xff]), status.INVALID_ARGUMENT, /^expected a DeltaDiscoveryRequest$/],
  ['another node', { ...ack(''), node: { id: 'default.api' } }, status.INVALID_ARGUMENT, /node id changed/],
])('X29 a stream ends within: %s', async (_title, message, code, details) => {
  const { open, events } = scene()
  const stream = open()
  await stream.ask(first)
  // The same node, or none, may be sent again.
  await stream.ask({ ...ack(''), node: { id: 'default.web' } })
  await stream.ask({ ...ack(''), node: { id: '' } })
  expect(stream.statuses).toEqual([])
  if (message instanceof Uint8Array) stream.send(message)
  else await stream.ask(message)
  await stream.finished
  expect(stream.statuses).toEqual([{ code, details: expect.stringMatching(details) }])
  expect(events).toContain('closed web')
})

test('X29 a newer stream of a proxy ends the older one before it is registered, and other proxies keep theirs', async () => {
  const { open, events, shared } = scene()
  const [older, other, newer] = [open(), open(), open()]
  await older.ask(first)
  await other.ask({ ...first, node: { id: '.web', metadata: { 'dataplane.proxyType': 'ingress' } } })
  await newer.ask(first)
  await older.finished
  expect(older.statuses).toEqual([{ code: status.ABORTED, details: 'a newer stream of this proxy took over' }])
  expect(events.filter((one) => /^(opened|closed)/.test(String(one)))).toEqual([
    ...['opened web at 1000', 'opened web at 1000', 'closed web', 'opened web at 1000'],
  ])
  expect(shared.live.size).toBe(2)
  newer.end()
  await newer.finished
  expect(shared.live.size).toBe(1)
})

test('X29 a stream ends with the reason when its token is revoked', async () => {
  const { open, revoked, events } = scene()
  const stream = open()
  await stream.ask(first)
  revoked[0]?.('the token was revoked')
  stream.end()
  await stream.finished
  expect(stream.statuses).toEqual([{ code: status.UNAUTHENTICATED, details: 'the token was revoked' }])
  expect(events).toContain('closed web')
})

test('X13 what a stream leaves in doubt is passed to the next stream of the same proxy', async () => {
  const { open, give, shared } = scene()
  const stream = open()
  await stream.ask(first)
  give(1, one('a', 1))
  await settle()
  stream.end()
  await stream.finished
  expect([...shared.doubtful]).toEqual([['dataplane default.web', new Map([[cluster, ['a']]])]])
  const next = open()
  // The proxy lists the version, but its content may be another one.
  await next.ask({ ...first, initialResourceVersions: { a: 'a@1' } })
  expect(next.sent()).toEqual(['1 a@1'])
  await next.ask(ack('1'))
  next.end()
  await next.finished
  expect(shared.doubtful.size).toBe(0)
})

test('X13 the doubts of at most 1,000 proxies are kept', async () => {
  const { open, give, shared } = scene()
  for (let index = 0; index < 1000; index += 1) shared.doubtful.set(`p${index}`, new Map())
  give(1, one('a', 1))
  const stream = open()
  await stream.ask(first)
  stream.end()
  await stream.finished
  expect([shared.doubtful.size, shared.doubtful.has('p0'), shared.doubtful.has('p1')]).toEqual([1000, false, true])
})

test('X8 a timer of a stream runs at its time, and none runs after its end', async () => {
  const { open, give, clock, events } = scene()
  const stream = open()
  await stream.ask({ ...first, initialResourceVersions: { a: 'a@1', b: 'b@1' } })
  await stream.ask({ typeUrl: typeUrls.listener })
  give(1, one('a', 1))
  await settle()
  await stream.ask({ typeUrl: typeUrls.listener, responseNonce: '2' })
  stream.sent()
  clock.advance(4_999)
  expect(stream.sent()).toEqual([])
  clock.advance(1)
  expect(stream.sent()).toEqual(['3 -b'])
  give(2)
  await settle()
  stream.end()
  await stream.finished
  const count = events.length
  clock.advance(60_000)
  expect([stream.sent(), events.length]).toEqual([[], count])
})

test('L8 a newer table waits while 2,000 responses have no verdict, and of several only the newest is sent', async () => {
  // Without room for two, each cluster has its own response.
  const { open, give } = scene({}, 0)
  const stream = open()
  await stream.ask(first)
  const all = (count: number, version: number) =>
    Array.from({ length: count }, (_, index) =>
      one(`c${index}`, index === 0 ? version : 1, { bytes: Uint8Array.from([8, 0]) }),
    )
  give(1, ...all(1999, 1))
  await settle()
  expect(stream.sent()).toHaveLength(1999)
  give(2, ...all(1999, 2))
  await settle()
  expect(stream.sent()).toEqual(['2000 c0@2'])
  give(3, ...all(1999, 3))
  await settle()
  give(4, ...all(1999, 4))
  await settle()
  expect(stream.sent()).toEqual([])
  await stream.ask(ack('1'))
  expect(stream.sent()).toEqual(['2001 c0@4'])
})

test('MT11 a refused resource is counted by its type, and an event is measured only if something is written after it', async () => {
  const seen: string[] = []
  const nameOf = (typeUrl: string) => Object.entries(typeUrls).find(([, url]) => url === typeUrl)?.[0]
  const observer: XdsObserver = {
    streamOpened: () => void seen.push('opened'),
    flushed: (durationMs) => void seen.push(`flushed in ${durationMs}`),
    sent: (typeUrl) => void seen.push(`sent ${nameOf(typeUrl)}`),
    refused: (typeUrl) => void seen.push(`refused ${nameOf(typeUrl)}`),
  }
  const { open, give } = scene({ observer })
  const stream = open()
  await stream.ask(first)
  expect(seen.splice(0)).toEqual(['opened'])
  give(1, one('a', 1))
  await settle()
  expect(seen.splice(0)).toEqual(['sent cluster', 'flushed in 0'])
  await stream.ask({ ...ack('1'), errorDetail: create(StatusSchema, { message: 'bad' }) })
  expect(seen.splice(0)).toEqual(['refused cluster'])
  give(2, one('a', 2))
  await settle()
  await stream.ask(ack('2'))
  expect(seen).toEqual(['sent cluster', 'flushed in 0'])
  stream.end()
  await stream.finished
})

test('MT11 a stream that is not admitted is not counted', async () => {
  const seen: string[] = []
  const observer = { streamOpened: () => void seen.push('opened') } as unknown as XdsObserver // nothing else is called
  const { open } = scene({ observer, opened: async () => err('the proxy is draining') })
  const stream = open()
  await stream.ask(first)
  await stream.finished
  expect([seen, stream.statuses[0]?.details]).toEqual([[], 'the proxy is draining'])
})
