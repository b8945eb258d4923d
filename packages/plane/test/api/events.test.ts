import { request } from 'node:http'
import {
  anonymousStreamsMax,
  eventBacklogMax,
  eventHeartbeatMs,
  eventStreamMs,
  eventStreamsMax,
} from '@zonemesh/plane/api/limits.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { expect, test } from 'vitest'
import { timeout, write } from './routes.ts'
import { remote, serve } from './serve.ts'

interface Message {
  readonly event: string
  // biome-ignore lint/suspicious/noExplicitAny: tests read fields of messages by name.
  readonly data: any
}

/** Opens a stream. `next` is the next message, or undefined when the stream has ended. */
async function open(base: string, path: string, headers: Record<string, string> = {}) {
  const { promise, resolve, reject } = Promise.withResolvers<import('node:http').IncomingMessage>()
  const sent = request(base + path, { agent: false, headers: { accept: 'text/event-stream', ...headers } }, resolve)
  sent.on('error', reject)
  sent.end()
  const response = await promise
  const messages = messagesOf(response)
  return {
    status: response.statusCode,
    type: response.headers['content-type'],
    next: async (): Promise<Message | undefined> => (await messages.next()).value ?? undefined,
    [Symbol.dispose]: () => void sent.destroy(),
  }
}

async function* messagesOf(response: AsyncIterable<Buffer>): AsyncGenerator<Message> {
  let text = ''
  try {
    for await (const chunk of response) {
      text += chunk.toString('utf8')
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const [, event = 'comment', data = 'null'] = /^event: (.*)\ndata: (.*)$/.exec(text.slice(0, end)) ?? []
        text = text.slice(end + 2)
        yield { event, data: JSON.parse(data) }
      }
    }
  } catch {
    // The server has closed the connection.
  }
}

const put = (name: string, mesh = 'default') => ({ origin: 'global', kind: 'Timeout', mesh, name, spec: timeout(name) })
const short = (message: Message | undefined) =>
  message && `${message.event} ${message.data?.mesh ?? ''}/${message.data?.name}`

/** A plane whose clock stands still, unless a test advances it. `faults` replaces parts of its store. */
async function serveEvents(horizonRevisions = 1000, faults: Partial<Store> = {}) {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  const whole = createMemoryStore({ clock, random: createSeededRandom(7) }, { horizonRevisions })
  const store: Store = Object.assign(Object.create(whole), faults)
  return { clock, ...(await serve({ clock, store })) }
}

test('R72 events are the resources that are added, changed and deleted after the revision of the start', async () => {
  await using api = await serveEvents()
  await write(api.plane, [put('old')])
  using stream = await open(api.base, '/_events?kinds=Timeout,retries')
  expect([stream.status, stream.type]).toEqual([200, 'text/event-stream'])
  const { revision } = await api.plane.store.head()
  expect(await stream.next()).toEqual({
    event: 'start',
    data: { revision: expect.stringMatching(new RegExp(`@${revision}\\.`)) },
  })
  await write(api.plane, [{ origin: 'global', kind: 'MeshGateway', mesh: 'default', name: 'other' }, put('new')])
  expect(await stream.next()).toEqual({
    event: 'added',
    data: { type: 'Timeout', mesh: 'default', name: 'new', revision: `@${revision + 1}` },
  })
  await write(api.plane, [{ ...put('new'), spec: timeout('new', '9s') }])
  expect(short(await stream.next())).toBe('changed default/new')
  expect((await api.call('DELETE', '/meshes/default/timeouts/old')).status).toBe(200)
  expect(short(await stream.next())).toBe('deleted default/old')
})

test('R72 a stream of one mesh has only its resources, and rows of other planes have their shown names', async () => {
  await using api = await serveEvents()
  await write(api.plane, [{ origin: 'global', kind: 'Mesh', mesh: '', name: 'shop' }])
  using stream = await open(api.base, '/_events?mesh=shop')
  expect((await stream.next())?.event).toBe('start')
  await write(api.plane, [put('a'), { origin: 'east', kind: 'Dataplane', mesh: 'shop', name: 'web' }])
  expect((await stream.next())?.data).toMatchObject({
    type: 'Dataplane',
    mesh: 'shop',
    name: expect.stringMatching(/^web-\w{16}$/),
  })
})

test('R73 a stream has the rights of lists: secrets only for administrators, and the same refusals', async () => {
  await using api = await serveEvents()
  const secret = { origin: 'global', kind: 'Secret', mesh: 'default', name: 's' }
  using asked = await open(api.base, '/_events?kinds=Secret', remote)
  expect(asked.status).toBe(403)
  using reader = await open(api.base, '/_events', remote)
  using administrator = await open(api.base, '/_events')
  for (const one of [reader, administrator]) expect((await one.next())?.event).toBe('start')
  await write(api.plane, [secret])
  await write(api.plane, [put('t')])
  expect(short(await reader.next())).toBe('added default/t')
  expect(short(await administrator.next())).toBe('added default/s')
  expect((await api.call('GET', '/_events?kinds=Nothing')).json).toMatchObject({
    detail: 'kinds: unknown kind "Nothing"',
  })
  expect((await api.call('GET', '/_events?mesh=none')).status).toBe(404)
  expect((await api.call('GET', '/_events', undefined, { accept: 'image/png' })).status).toBe(406)
})

test('R74 a reader that is too far behind gets resync, and its stream ends', async () => {
  await using api = await serveEvents()
  using stream = await open(api.base, '/_events')
  expect((await stream.next())?.event).toBe('start')
  const many = Array.from({ length: eventBacklogMax + 1 }, (_, index) => put(`t${index}`))
  // One round, so that the stream sees all of it at once.
  const changes = many.map(({ spec, ...key }) => ({ op: 'put', key, labels: {}, spec }) as const)
  const parts = Array.from({ length: 6 }, (_, part) => ({
    changes: changes.slice(part * 1000, part * 1000 + 1000),
    subject: 'test',
    intent: 'test',
  }))
  expect((await api.plane.store.commitRound(parts)).ok).toBe(true)
  let last: Message | undefined
  for (let message = await stream.next(); message; message = await stream.next()) last = message
  expect(last).toMatchObject({ event: 'resync', data: { reason: expect.stringContaining('too far behind') } })
})

test('R74 the heartbeat finds changes whose hint was lost, and resync is sent if they are not kept any more', async () => {
  const lost = { onMark: () => ({ [Symbol.dispose]: () => undefined }) }
  await using api = await serveEvents(3, lost)
  using stream = await open(api.base, '/_events')
  expect((await stream.next())?.event).toBe('start')
  await write(api.plane, [put('t')])
  api.clock.advance(eventHeartbeatMs)
  expect(short(await stream.next())).toBe('added default/t')
  expect((await stream.next())?.event).toBe('comment')
  for (let index = 0; index < 30; index += 1) await write(api.plane, [put(`t${index}`)])
  api.clock.advance(eventHeartbeatMs)
  expect((await stream.next())?.event).toBe('resync')
  expect(await stream.next()).toBeUndefined()
})

test('R74 a stream shows that it is open, and ends with resync when it is old, so that its caller is authenticated again', async () => {
  await using api = await serveEvents()
  using stream = await open(api.base, '/_events')
  expect((await stream.next())?.event).toBe('start')
  api.clock.advance(eventHeartbeatMs)
  expect((await stream.next())?.event).toBe('comment')
  api.clock.advance(eventStreamMs)
  let message = await stream.next()
  while (message?.event === 'comment') message = await stream.next()
  expect(message?.event).toBe('resync')
  expect(await stream.next()).toBeUndefined()
})

test('R75 a plane serves a limited number of streams, a caller that leaves makes room, and a plane that stops ends them', async () => {
  const api = await serveEvents()
  const streams = await Promise.all(Array.from({ length: eventStreamsMax }, () => open(api.base, '/_events')))
  for (const one of streams) expect((await one.next())?.event).toBe('start')
  expect(await api.call('GET', '/_events')).toMatchObject({ status: 503, headers: { 'retry-after': '5' } })
  streams[0]?.[Symbol.dispose]()
  let again = await open(api.base, '/_events')
  // The plane notices the closed connection with one of its next turns.
  while (again.status === 503) again = await open(api.base, '/_events')
  expect((await again.next())?.event).toBe('start')
  await api[Symbol.asyncDispose]()
  expect(await again.next()).toEqual({ event: 'end', data: { reason: 'the control plane stops' } })
  expect(await again.next()).toBeUndefined()
})

test('R75 callers without credentials cannot take all streams', async () => {
  await using api = await serveEvents()
  for (let index = 0; index < anonymousStreamsMax; index += 1)
    expect((await (await open(api.base, '/_events', remote)).next())?.event).toBe('start')
  expect(await api.call('GET', '/_events', undefined, remote)).toMatchObject({
    status: 503,
    json: { detail: expect.stringContaining('32 streams of events without credentials are open') },
  })
  expect((await (await open(api.base, '/_events')).next())?.event).toBe('start')
})
