import type { Socket } from 'node:net'
import { gzipSync } from 'node:zlib'
import { fromBinary, toBinary } from '@bufbuild/protobuf'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import type { QueryFrame } from '@zonemesh/shared/query/query.ts'
import { syncPath } from '@zonemesh/shared/sync/handshake.ts'
import { decodeMessage, encodeMessage } from '@zonemesh/shared/sync/log/frames.ts'
import type { Message } from '@zonemesh/shared/sync/log/messages.ts'
import { defaultConnectionLimits } from '@zonemesh/shared/transport/connections.ts'
import { dialGrpc } from '@zonemesh/shared/transport/grpc.ts'
import type { Channel, Dialer } from '@zonemesh/shared/transport/transport.ts'
import { dialWebSocket } from '@zonemesh/shared/transport/websocket.ts'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { FrameSchema, RowSchema } from '../../packages/shared/gen/zonemesh/sync/v1/sync_pb.js'
import { api, local, until, zonemesh } from '../e2e/rig.ts'
import {
  closed,
  floods,
  garbage,
  grpcMessage,
  idle,
  mutate,
  open,
  openTls,
  patient,
  preface,
  randomFrames,
  rawGrpc,
  settings,
  slowHeaders,
  stalledHandshakes,
  upTo,
} from './attacks.ts'
import { type Plane, seeded, startPlane } from './rig.ts'

let plane: Plane
let token: string
let pin: string
let meshes: number
let slow: readonly Socket[]
beforeAll(async () => {
  plane = await startPlane('global')
  const client = api(plane.address)
  await client.need('PUT', '/zones/fuzz', { type: 'Zone', name: 'fuzz', enabled: true })
  for (const name of ['a', 'b', 'c']) await client.need('PUT', `/meshes/${name}`, { type: 'Mesh', name })
  token = (await client.need('POST', '/tokens/zone', { zone: 'fuzz', scope: ['cp'] })).text.trim()
  // The plane answers with its own type.
  pin = ((await client.need('GET', '/_join')).json as { readonly pin: string }).pin
  meshes = await meshCount()
  // These connections are closed only after seconds, so the last test checks them.
  slow = [
    ...Array.from({ length: 50 }, () => slowHeaders(open({ port: plane.ports.api, from: patient }))),
    ...Array.from({ length: 5 }, () => silentAfterTls()),
  ]
})

/** Opens an HTTP/2 connection and then never calls. */
function silentAfterTls(): Socket {
  const socket = openTls({ port: plane.ports.sync, from: patient }, ['h2'])
  socket.once('secureConnect', () => socket.write(Buffer.concat([preface, settings])))
  return socket.resume()
}

afterAll(() => plane[Symbol.asyncDispose]())
afterEach(async () => {
  await plane.expectUnharmed()
  // F27, F41: no row of the global was removed, whatever the zone sent.
  expect(await meshCount()).toBe(meshes)
  for (const transport of ['gRPC', 'WebSocket'] as const) await expectWelcome(transport)
})

async function meshCount(): Promise<number> {
  // The plane answers with its own list type.
  return ((await api(plane.address).need('GET', '/meshes')).json as { readonly total: number }).total
}

const dialer = (transport: 'gRPC' | 'WebSocket', shown = token): Dialer =>
  transport === 'gRPC'
    ? dialGrpc({ address: `${local}:${plane.ports.sync}`, path: syncPath, token: shown, pinSha256Hex: pin })
    : dialWebSocket({ address: `wss://${local}:${plane.ports.apiTls}`, token: shown, pinSha256Hex: pin })

const hello = (host = 'fuzz-host'): Message => ({
  type: 'hello',
  hello: {
    protocol: { min: 1, max: 1, features: [] },
    storeId: 'store-of-fuzz',
    incarnation: 1,
    host,
    startedAtMs: 0,
    version: 'test',
    position: undefined,
    creditBytes: 1_000_000,
    replica: 'replica-of-fuzz',
    uncovered: [],
  },
})

async function dial(transport: 'gRPC' | 'WebSocket'): Promise<Channel & Disposable> {
  const dialled = await dialer(transport).dial(AbortSignal.timeout(10_000))
  if (!dialled.ok) throw new Error(dialled.error.reason)
  return dialled.value
}

/** A regular zone is accepted. */
async function expectWelcome(transport: 'gRPC' | 'WebSocket'): Promise<Channel & Disposable> {
  const channel = await dial(transport)
  channel.send(encodeMessage(hello()))
  const first = await new Promise<Message | string | undefined>((resolve) => {
    channel.onMessage((bytes) => resolve(decodeMessage(bytes)))
    void channel.ended.then(({ reason }) => resolve(reason))
  })
  expect(first).toMatchObject({ type: 'welcome' })
  channel.onMessage(() => {})
  channel.end()
  channel[Symbol.dispose]()
  return channel
}

test('F8 bytes of no protocol harm no port', async () => {
  const random = seeded(801)
  for (const port of [plane.ports.sync, plane.ports.api, plane.ports.apiTls]) await garbage({ port }, random)
})

test('F8 TLS connections with random HTTP/2 frames and floods of one frame type harm no port', async () => {
  await randomFrames({ port: plane.ports.sync }, seeded(802))
  await floods({ port: plane.ports.sync })
})

test('F8 LI1 thousands of idle connections and stalled handshakes keep no caller out, also from their own address', async () => {
  const random = seeded(803)
  const { sync, api: apiPort, apiTls } = plane.ports
  const idleCount = 1_500
  const sockets = [
    ...[sync, apiPort, apiTls].flatMap((port) => idle({ port }, idleCount)),
    ...[sync, apiTls].flatMap((port) => stalledHandshakes({ port, from: local }, random, 400)),
  ]
  await plane.expectUnharmed()
  await expectWelcome('gRPC')
  await expectWelcome('WebSocket')
  // The oldest connections are closed for new ones.
  await until(
    'the surplus is closed',
    () => sockets.filter((socket) => socket.destroyed || socket.readyState !== 'open').length,
    (gone) => gone >= 3 * (idleCount - defaultConnectionLimits.pendingPerAddressMax),
  )
  for (const socket of sockets) socket.destroy()
  await Promise.all(sockets.map(closed))
})

test('F8 LI2 gRPC calls without a token: random messages, false lengths and compressed bombs harm nothing', async () => {
  const random = seeded(804)
  const target = { port: plane.ports.sync }
  const bomb = gzipSync(new Uint8Array(64 * 1024 * 1024))
  const bodies = [
    ...Array.from({ length: 100 }, () => grpcMessage(mutate(random, encodeMessage(hello())))),
    ...Array.from({ length: 100 }, () => random.bytes(upTo(random, 2_000))),
    grpcMessage(new Uint8Array(10), false, 0xffffffff),
    grpcMessage(bomb, true),
  ]
  const answers = await Promise.all(
    bodies.map((body) => rawGrpc(target, syncPath, body, { 'grpc-encoding': 'gzip', authorization: 'Bearer x.y.z' })),
  )
  expect(answers.filter(({ status }) => status === '0')).toEqual([])
  const unknown = await rawGrpc(target, '/nobody.Nothing/Here', grpcMessage(new Uint8Array(3)))
  expect(unknown.status).toBe('12')
})

test('F8 LI2 a compressed message is refused also with a token, because no plane sends one', async () => {
  const bomb = gzipSync(new Uint8Array(64 * 1024 * 1024))
  const headers = { 'grpc-encoding': 'gzip', authorization: `Bearer ${token}` }
  const answer = await rawGrpc({ port: plane.ports.sync }, syncPath, grpcMessage(bomb, true), headers)
  expect(answer).toEqual({ status: '12', message: expect.stringContaining('unsupported encoding') })
})

/** Frames of every kind as a zone sends them, some of them with rows of other owners. */
function frames(): Uint8Array[] {
  const position = { store: 'store-of-fuzz', revision: 7, commitId: '00000000000000aa' }
  const stamp = { incarnation: 1, originRevision: 5, createdAtMs: 1, modifiedAtMs: 2 }
  const row = (origin: string, kind: string, state: 'live' | 'deleted') => {
    const key = { origin, kind, mesh: kind === 'Mesh' ? '' : 'default', name: 'a' }
    return state === 'live'
      ? { key, stamp, state, row: { key, stamp, labels: {}, spec: { networking: {} } } }
      : { key, stamp, state }
  }
  const rows = [
    row('fuzz', 'Dataplane', 'live'),
    row('fuzz', 'Dataplane', 'deleted'),
    row('global', 'Mesh', 'deleted'),
    row('other', 'Dataplane', 'live'),
  ]
  const messages = [
    ...rows.map((one) => ({ type: 'rows', rows: [one], bytes: 0 })),
    { type: 'mark', position },
    { type: 'replace', origins: ['fuzz'], position, reason: 'diverged' },
    { type: 'replace', origins: ['global', 'other'], position, reason: 'new' },
    { type: 'credit', bytes: 1_000 },
    { type: 'release', hold: 'nothing' },
    { type: 'report', report: { reset: true, changed: [{ key: 'k', value: {} }], removed: ['x'] } },
    hello(),
  ]
  // They are made as the encoder wants them; what it leaves out is what the decoder is to bear.
  return messages.map((message) => encodeMessage(message as unknown as Message))
}

test.each(['gRPC', 'WebSocket'] as const)(
  'F27 F41 a zone that is admitted over %s and then sends mutated frames ends only its own session',
  async (transport) => {
    const random = seeded(transport === 'gRPC' ? 805 : 806)
    const valid = frames()
    for (let session = 0; session < 60; session += 1) {
      const channel = await dial(transport)
      channel.onMessage(() => {})
      if (session % 4 !== 0) channel.send(encodeMessage(hello()))
      for (let count = 0; count < 12; count += 1) {
        const one = valid[upTo(random, valid.length)] ?? new Uint8Array()
        channel.send(random.fraction() < 0.3 ? one : mutate(random, one))
      }
      if (session % 3 === 0) channel.cut('enough')
      else channel.end()
      await channel.ended
      channel[Symbol.dispose]()
    }
  },
)

test('QX13 a zone that answers what nobody asked, and asks without end, harms nothing and gets few refusals', async () => {
  const channel = await dial('gRPC')
  const refusals: string[] = []
  channel.onMessage((bytes) => {
    const message = decodeMessage(bytes)
    if (message?.type === 'query' && message.frame.type === 'fault') refusals.push(message.frame.fault.code)
  })
  const greeting = hello()
  if (greeting.type !== 'hello') throw new Error('expected a hello')
  const features = { min: 1, max: 1, features: ['query'] }
  channel.send(encodeMessage({ type: 'hello', hello: { ...greeting.hello, protocol: features } }))
  const big = new Uint8Array(1024 * 1024)
  let number = 0
  const send = async (frame: QueryFrame) => {
    number += 1
    if (!channel.send(encodeMessage({ type: 'query', frame }, number))) await channel.drained()
  }
  for (let id = 0; id < 100; id += 1) await send({ type: 'answer', id, bytes: big, last: false })
  const request = new TextEncoder().encode('{"mesh":"default"}')
  for (let id = 1; id <= 20_000; id += 1)
    await send({ type: 'ask', id, name: id % 2 === 0 ? 'dataplane-token' : 'x'.repeat(500), request })
  await until(
    'the zone has refusals',
    async () => refusals.length,
    (count) => count > 0,
  )
  channel.cut('enough')
  await channel.ended
  channel[Symbol.dispose]()
  expect(refusals.every((code) => ['busy', 'unknown', 'refused'].includes(code))).toBe(true)
})

test('QX13 a zone that never answers, or answers without end, costs its caller 10 s or 4 MiB', {
  timeout: 60_000,
}, async () => {
  const channel = await dial('gRPC')
  const asked: number[] = []
  const cancelled: number[] = []
  channel.onMessage((bytes) => {
    const message = decodeMessage(bytes)
    if (message?.type !== 'query') return
    if (message.frame.type === 'ask') asked.push(message.frame.id)
    if (message.frame.type === 'cancel') cancelled.push(message.frame.id)
  })
  const greeting = hello()
  if (greeting.type !== 'hello') throw new Error('expected a hello')
  const protocol = { min: 1, max: 1, features: ['query'] }
  channel.send(encodeMessage({ type: 'hello', hello: { ...greeting.hello, protocol } }))
  const sight = () => api(plane.address).call('GET', '/zones/fuzz/_sight')
  const isConnected = async () => JSON.parse((await api(plane.address).need('GET', '/_status')).text).zones[0].connected
  await until('the zone is connected', isConnected, (connected) => connected === true)
  const [endless, silent] = [sight(), sight()]
  await until(
    'the zone is asked',
    async () => asked.length,
    (count) => count === 2,
  )
  const bytes = new Uint8Array(64 * 1024)
  for (let part = 0; part < 65; part += 1)
    channel.send(
      encodeMessage({ type: 'query', frame: { type: 'answer', id: asked[0] ?? 0, bytes, last: false } }, part + 1),
    )
  expect(await endless).toMatchObject({
    status: 502,
    json: { detail: expect.stringContaining('more than 4194304 bytes') },
  })
  let beats = 65
  // Without frames the session would end before the query.
  const beat = setInterval(() => {
    beats += 1
    channel.send(encodeMessage({ type: 'query', frame: { type: 'cancel', id: 999 } }, beats))
  }, 1_000)
  expect(await silent).toMatchObject({
    status: 504,
    json: { detail: expect.stringContaining('no answer within 10 s') },
  })
  clearInterval(beat)
  await until(
    'both queries are cancelled',
    async () => cancelled.length,
    (count) => count === 2,
  )
  channel.cut('enough')
  await channel.ended
  channel[Symbol.dispose]()
  expect([...cancelled].sort()).toEqual([...asked].sort())
})

test('B41 escape sequences in the report of a zone reach no terminal', async () => {
  const channel = await dial('gRPC')
  channel.onMessage(() => {})
  channel.send(encodeMessage(hello('evil\u001b]0;owned\u0007\u009b2J\ncurrent')))
  await until(
    'the global knows the host',
    async () => (await api(plane.address).need('GET', '/_status')).text,
    (text) => text.includes('owned'),
  )
  const table = await zonemesh('status', '--address', plane.address)
  const json = await zonemesh('status', '-o', 'json', '--address', plane.address)
  channel.end()
  channel[Symbol.dispose]()
  for (const { stdout, stderr } of [table, json]) expect(stdout + stderr).not.toMatch(/[^\P{Cc}\n\t]/u)
  expect(table.stdout).toContain('evil\\x1b]0;owned\\x07\\x9b2J\\x0acurrent')
  expect(JSON.parse(json.stdout).zones[0].host).toBe('evil\u001b]0;owned\u0007\u009b2J\ncurrent')
})

/**
 * The same frame, with another text as the content of its first row or entry. Our encoder does not produce such depth.
 */
function deepened(bytes: Uint8Array, text: string): Uint8Array {
  const frame = fromBinary(FrameSchema, bytes)
  const { message } = frame
  const content = new TextEncoder().encode(text)
  if (message.case === 'rows') {
    const [first = new Uint8Array(), ...others] = message.value.rows
    message.value.rows = [toBinary(RowSchema, { ...fromBinary(RowSchema, first), spec: content }), ...others]
  } else if (message.case === 'report') for (const entry of message.value.changed) entry.value = content
  else return bytes
  return toBinary(FrameSchema, frame)
}

test('Y20 a row with very deep nesting loses only its own content: the session continues, and other rows of its round count', async () => {
  const stamp = { incarnation: 9, originRevision: 1, createdAtMs: 1, modifiedAtMs: 2 }
  const row = (name: string, spec: JsonObject) => {
    const key = { origin: 'fuzz', kind: 'Dataplane', mesh: 'a', name }
    return { key, stamp, state: 'live', row: { key, stamp, labels: {}, spec } } as const
  }
  const deep = `${'{"a":'.repeat(5_000)}{}${'}'.repeat(5_000)}`
  const inbound = [{ port: 80, tags: { 'kuma.io/service': 'good' } }]
  const good = { networking: { address: '192.0.2.1', inbound } }
  const position = { store: 'store-of-fuzz', revision: 1, commitId: '00000000000000aa' }
  const report = { reset: true, changed: [{ key: 'deep', value: {} }], removed: [] }
  const channel = await dial('gRPC')
  let ended: string | undefined
  void channel.ended.then(({ reason }) => {
    ended = reason
  })
  channel.onMessage(() => {})
  const messages: Message[] = [
    hello(),
    { type: 'replace', origins: ['fuzz'], position, reason: 'new' },
    { type: 'rows', rows: [row('deep', {}), row('good', good)], bytes: 0 },
    { type: 'mark', position },
    { type: 'report', report },
  ]
  for (const [number, message] of messages.entries()) channel.send(deepened(encodeMessage(message, number), deep))
  const client = api(plane.address)
  await until(
    'the good row is there',
    () => client.call('GET', '/meshes/a/dataplanes/good'),
    ({ status }) => status === 200,
  )
  const found = await client.need('GET', '/meshes/a/dataplanes/deep')
  expect(found.text).toContain('nests deeper than 128 levels')
  for (const path of ['/_status', '/meshes/a/dataplanes', '/meshes/a/dataplanes+insights'])
    expect([path, (await client.call('GET', path)).status]).toEqual([path, 200])
  expect(ended).toBe(undefined)
  channel.end()
  channel[Symbol.dispose]()
})

test('F8 WebSocket frames with wrong masks or lengths and floods of pings harm nothing', async () => {
  const random = seeded(807)
  const head = (shown: string) =>
    `GET /_sync HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuthorization: Bearer ${shown}\r\n\r\n`
  const ping = Buffer.from([0x89, 0x80, 0, 0, 0, 0])
  const bodies = [
    ...Array.from({ length: 40 }, () => Buffer.from(random.bytes(upTo(random, 3_000)))),
    Buffer.from([0x82, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255]),
    Buffer.from([0x82, 0x7e, 0xff, 0xff]),
    Buffer.concat(Array.from({ length: 50_000 }, () => ping)),
    // Fragments without an end.
    Buffer.concat(Array.from({ length: 50_000 }, () => Buffer.from([0x00, 0x81, 0, 0, 0, 0, 65]))),
  ]
  const sockets = bodies.flatMap((body) =>
    [token, 'no'].map((shown) => {
      const socket = open({ port: plane.ports.api })
      socket.end(Buffer.concat([Buffer.from(head(shown)), body]))
      return socket.resume()
    }),
  )
  await Promise.all(sockets.map(closed))
})

test('F8 LI3 the API answers requests that are too long, too deep, compressed or invalid', async () => {
  const call = async (path: string, body: string | Uint8Array, headers: Record<string, string> = {}) => {
    const request = { method: 'PUT', body, headers: { 'content-type': 'application/json', ...headers } }
    return (await fetch(`${plane.address}${path}`, request)).status
  }
  expect(await call('/meshes/deep', '['.repeat(2_000_000) + ']'.repeat(2_000_000))).toBe(400)
  expect(
    await call('/meshes/deep', `{"type":"Mesh","name":"deep","a":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_001)}`),
  ).toBe(400)
  const startMs = performance.now()
  expect(await call('/meshes/quotes', `"${'\\"'.repeat(2_000_000)}`)).toBe(400)
  // A check in quadratic time would need minutes.
  expect(performance.now() - startMs).toBeLessThan(5_000)
  expect(await call('/meshes/bomb', gzipSync(new Uint8Array(10_000_000)), { 'content-encoding': 'gzip' })).toBe(415)
  expect(await call('/meshes/proto', '{"__proto__":{"type":"Mesh"},"constructor":1}')).toBe(400)
  expect((await fetch(plane.address, { headers: { 'x-long': 'x'.repeat(20_000) } })).status).toBe(431)
  expect((await fetch(`${plane.address}/_sync`)).status).toBe(404)
  const upgraded = open({ port: plane.ports.api })
  upgraded.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n')
  const answer = await new Promise<Buffer>((resolve) => upgraded.once('data', resolve))
  expect(answer.toString('latin1')).toMatch(/^HTTP\/1\.1 200 /)
  upgraded.destroy()
})

test('F8 LI3 unfinished headers and absent requests were cut off within seconds', async () => {
  await Promise.all(slow.map(closed))
})
