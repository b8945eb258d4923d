import { createSocket } from 'node:dgram'
import { request } from 'node:https'
import type { Socket } from 'node:net'
import { gzipSync } from 'node:zlib'
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { typeUrls } from '@zonemesh/core/emit/table.ts'
import { DeltaDiscoveryRequestSchema } from '@zonemesh/core/gen/envoy/service/discovery/v3/discovery_pb.js'
import { frame as dnsFrame, readFrames } from '@zonemesh/shared/dns/framing.ts'
import { resolve } from '@zonemesh/shared/dns/resolve.ts'
import { FromProxySchema } from '@zonemesh/shared/gen/zonemesh/proxy/v1/proxy_pb.js'
import { defaultConnectionLimits } from '@zonemesh/shared/transport/connections.ts'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { api, local, until } from '../e2e/rig.ts'
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
  randomFrames,
  rawGrpc,
  slowHeaders,
  stalledHandshakes,
  upTo,
} from './attacks.ts'
import { type Plane, seeded, startPlane } from './rig.ts'

const adsPath = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources'
const sessionPath = '/zonemesh.proxy.v1.Proxy/Session'

let plane: Plane
let token: string
let slow: readonly Socket[]
let deaf: Promise<number>
beforeAll(async () => {
  plane = await startPlane('zone')
  const client = api(plane.address)
  await client.need('PUT', '/meshes/default/dataplanes/web', {
    type: 'Dataplane',
    mesh: 'default',
    name: 'web',
    networking: {
      address: '192.168.0.1',
      inbound: [{ port: 8080, tags: { 'kuma.io/service': 'web', 'kuma.io/protocol': 'http' } }],
    },
  })
  const named = { mesh: 'default', name: 'web', tags: {}, type: 'dataplane' }
  token = (await client.need('POST', '/tokens/dataplane', named)).text.trim()
  // These connections are closed only after seconds, so the last test checks them.
  slow = Array.from({ length: 50 }, () =>
    slowHeaders(openTls({ port: plane.ports.proxy, from: patient }, ['http/1.1'])),
  )
})
afterAll(() => plane[Symbol.asyncDispose]())
afterEach(async () => {
  await plane.expectUnharmed()
  expect((await bootstrap('{}')).status).toBe(422)
  const answered = await rawGrpc(honest(), adsPath, grpcMessage(ads({ typeUrl: typeUrls.cluster })))
  // F8: the message that ends a known peer has no node.
  expect(answered).toEqual({ status: '3', message: 'the first message of the stream carries no node' })
  const name = 'nobody.mesh'
  const asked = await resolve(name, { host: local, port: plane.ports.dns }, AbortSignal.timeout(5_000))
  expect(asked.addresses).toEqual([])
})

const honest = () => ({ port: plane.ports.proxy, from: local })
const ads = (init: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): Uint8Array =>
  toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, init))
const session = (message: MessageInitShape<typeof FromProxySchema>): Uint8Array =>
  toBinary(FromProxySchema, create(FromProxySchema, message))
const node = { id: 'default.web', metadata: { 'dataplane.proxyType': 'dataplane' } }

function bootstrap(
  body: string | Buffer,
  headers: Record<string, string> = {},
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const call = request({
      ...{ host: local, port: plane.ports.proxy, path: '/bootstrap', method: 'POST', agent: false },
      ...{ rejectUnauthorized: false, ALPNProtocols: ['http/1.1'], headers },
    })
    call.on('response', (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    call.on('error', reject)
    call.end(body)
  })
}

test('F8 bytes of no protocol, random frames and floods do not harm the port for proxies', async () => {
  const target = { port: plane.ports.proxy }
  await garbage(target, seeded(821))
  await randomFrames(target, seeded(822))
  await floods(target)
})

test('F8 LI1 thousands of idle connections and stalled handshakes keep no proxy out', async () => {
  const { proxy, dns } = plane.ports
  const idleCount = 1_500
  const sockets = [
    ...idle({ port: proxy }, idleCount),
    ...idle({ port: dns }, idleCount),
    ...stalledHandshakes({ port: proxy, from: local }, seeded(823), 400),
  ]
  await plane.expectUnharmed()
  expect((await bootstrap('{}')).status).toBe(422)
  await until(
    'the surplus is closed',
    () => sockets.filter((socket) => socket.destroyed).length,
    (gone) => gone >= idleCount - defaultConnectionLimits.pendingPerAddressMax + (idleCount - 200),
  )
  for (const socket of sockets) socket.destroy()
  await Promise.all(sockets.map(closed))
})

test('R34 the row of a zone proxy shows no zone in its own zone', async () => {
  const client = api(plane.address)
  const networking = { address: '192.168.0.2', advertisedAddress: '192.168.0.2', port: 10_001, advertisedPort: 10_001 }
  await client.need('PUT', '/zoneingresses/way-in', { type: 'ZoneIngress', name: 'way-in', networking })
  for (const path of ['/zoneingresses/way-in', '/zoneingresses', '/zoneingresses/_overview'])
    expect([path, /"zone":/.test((await client.need('GET', path)).text)]).toEqual([path, false])
  await client.need('DELETE', '/zoneingresses/way-in')
})

test('P20 without a valid token, an existing proxy cannot be distinguished from an absent one', async () => {
  const other = { mesh: 'default', name: 'other', tags: {}, type: 'dataplane' }
  const foreign = (await api(plane.address).need('POST', '/tokens/dataplane', other)).text.trim()
  const shown: readonly object[] = [
    {},
    { dataplaneTokenPath: '/any/path' },
    { dataplaneToken: 'x.y.z' },
    { dataplaneToken: `${token.slice(0, -4)}AAAA` },
    { dataplaneToken: foreign },
  ]
  for (const given of shown) {
    const [known, unknown] = await Promise.all(
      ['web', 'web2'].map((name) => bootstrap(JSON.stringify({ mesh: 'default', name, ...given }))),
    )
    expect([given, known]).toEqual([given, { status: 422, text: unknown?.text.replace('web2', 'web') }])
    expect(unknown?.status).toBe(422)
  }
  const named = { mesh: 'default', name: 'web', dataplaneToken: token }
  expect((await bootstrap(JSON.stringify(named), { host: 'localhost' })).status).toBe(200)
})

test('F8 LI4 bootstrap bodies that are too long, compressed, not JSON or of another shape are refused', async () => {
  const random = seeded(824)
  expect(await bootstrap('x'.repeat(3_000_000)).catch(() => ({ status: 413 }))).toMatchObject({ status: 413 })
  expect((await bootstrap(gzipSync('{}'), { 'content-encoding': 'gzip' })).status).toBe(415)
  expect((await bootstrap('['.repeat(500_000))).status).toBe(400)
  const valid = JSON.stringify({
    ...{ mesh: 'default', name: 'web', proxyType: 'dataplane', dataplaneToken: 'x.y.z' },
    ...{ dataplaneResource: '{"type":"Dataplane","mesh":"default","name":"web"}', caCert: 'x', version: { a: {} } },
  })
  const answers = await Promise.all(
    Array.from({ length: 200 }, () => bootstrap(Buffer.from(mutate(random, Buffer.from(valid))))),
  )
  expect(answers.filter(({ status }) => ![400, 404, 422].includes(status))).toEqual([])
})

const requests = (): Uint8Array[] => [
  ads({ node, typeUrl: typeUrls.cluster }),
  ads({ node, typeUrl: 'type.googleapis.com/nobody.Knows' }),
  ads({ node, typeUrl: typeUrls.assignment, resourceNamesSubscribe: ['x'.repeat(500_000), '', '*', '__proto__'] }),
  ads({ node, typeUrl: typeUrls.cluster, initialResourceVersions: { constructor: '1', a: '?' } }),
  ads({ node, typeUrl: typeUrls.cluster, responseNonce: '1', errorDetail: { code: 3, message: 'x'.repeat(100_000) } }),
  ads({ node: { id: '' }, typeUrl: typeUrls.cluster }),
  ads({ node: { id: 'default.web', metadata: { 'dataplane.resource': '{"type":"Dataplane"' } } }),
]
const said = (): Uint8Array[] => [
  session({ message: { case: 'hello', value: { proxyType: 'dataplane', mesh: 'default', name: 'web' } } }),
  session({
    message: { case: 'hello', value: { proxyType: 'dataplane', mesh: 'default', name: 'x'.repeat(100_000) } },
  }),
  session({ message: { case: 'envoyExited', value: { exitCode: -1, signal: 'x'.repeat(100_000) } } }),
  session({ message: { case: 'draining', value: {} } }),
  session({}),
]

test.each([
  ['without a token', 825],
  ['with a token', 826],
])(
  'F8 ADS streams and sessions %s: no node, unknown types, huge names, mutated and random messages',
  async (how, seed) => {
    const random = seeded(seed)
    const headers = how === 'with a token' ? { authorization: `Bearer ${token}` } : {}
    for (const [path, valid] of [
      [adsPath, requests()],
      [sessionPath, said()],
    ] as const) {
      const one = () => {
        const bytes = valid[upTo(random, valid.length)] ?? new Uint8Array()
        // Arrays of half a megabyte are changed byte by byte: the short ones are enough.
        return random.fraction() < 0.3 || bytes.length > 2_000 ? bytes : mutate(random, bytes)
      }
      const bodies = [
        ...Array.from({ length: 60 }, () =>
          Buffer.concat(Array.from({ length: 1 + upTo(random, 4) }, () => grpcMessage(one()))),
        ),
        ...Array.from({ length: 30 }, () => grpcMessage(random.bytes(upTo(random, 2_000)))),
        grpcMessage(new Uint8Array(10), false, 0xffffffff),
      ]
      const answers = await Promise.all(bodies.map((body) => rawGrpc({ port: plane.ports.proxy }, path, body, headers)))
      expect(answers.length).toBe(bodies.length)
    }
  },
)

test('F8 LI2 a compressed message is not decompressed', async () => {
  const bomb = grpcMessage(gzipSync(new Uint8Array(64 * 1024 * 1024)), true)
  for (const path of [adsPath, sessionPath]) {
    const answer = await rawGrpc(honest(), path, bomb, { 'grpc-encoding': 'gzip' })
    expect(answer).toEqual({ status: '12', message: expect.stringContaining('unsupported encoding') })
  }
})

/** A question as a client sends it, with an EDNS record of this size when one is given. */
function question(name: string, qtype: number, edns?: number): Buffer {
  const labels = name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]))
  const head = Buffer.from([0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, edns === undefined ? 0 : 1])
  const opt = edns === undefined ? [] : [Buffer.from([0, 0, 41, edns >> 8, edns & 255, 0, 0, 0, 0, 0, 0])]
  return Buffer.concat([head, ...labels, Buffer.from([0, 0, qtype, 0, 1]), ...opt])
}

test('F34 DNS packets mutated from valid ones, random ones, and every EDNS size and type', async () => {
  const random = seeded(827)
  // The connection is closed only after seconds, so a later test checks it.
  deaf = neverReads()
  const socket = createSocket('udp4')
  const names = ['web.mesh', 'NoBody.MESH', 'a.b.c.d.e.mesh', 'x'.repeat(63)]
  const packet = (): Uint8Array => {
    if (random.fraction() < 0.2) return random.bytes(upTo(random, 600))
    const name = names[upTo(random, names.length)] ?? 'mesh'
    const edns = random.fraction() < 0.5 ? upTo(random, 65_536) : undefined
    const valid = question(name, upTo(random, 256), edns)
    return random.fraction() < 0.3 ? valid : mutate(random, valid)
  }
  for (let batch = 0; batch < 50; batch += 1) {
    const sent = Array.from(
      { length: 200 },
      () => new Promise<void>((done) => socket.send(packet(), plane.ports.dns, local, () => done())),
    )
    await Promise.all(sent)
  }
  await new Promise<void>((done) => void socket.close(() => done()))
})

test('F34 pipelined questions of DNS over TCP are all answered', async () => {
  const random = seeded(828)
  const socket = open({ port: plane.ports.dns })
  let answers = 0
  const all = new Promise<void>((resolve) => {
    socket.on(
      'data',
      readFrames(() => {
        answers += 1
        if (answers === 500) resolve()
      }),
    )
  })
  socket.write(Buffer.concat(Array.from({ length: 500 }, () => dnsFrame(question('web.mesh', 1)))))
  await all
  socket.destroy()

  const sockets = Array.from({ length: 100 }, () => {
    const one = open({ port: plane.ports.dns })
    one.end(random.bytes(upTo(random, 2_000)))
    return one.resume()
  })
  await Promise.all(sockets.map(closed))
})

/** Sends questions over TCP and reads no answer, until the server closes. Resolves with the bytes that the server accepted. */
function neverReads(): Promise<number> {
  const socket = open({ port: plane.ports.dns }).pause()
  const many = Buffer.concat(Array.from({ length: 20_000 }, () => dnsFrame(question('web.mesh', 1, 4_096))))
  return new Promise((resolve) => {
    let taken = 0
    const more = (cause?: Error | null): void => {
      if (cause) resolve(taken)
      else {
        taken += many.length
        socket.write(many, more)
      }
    }
    socket.write(many, more)
  })
}

test('F34 LI5 a TCP client that reads no answers is not read either, and then closed', async () => {
  // The server accepts no more than the buffers of both systems hold.
  expect(await deaf).toBeLessThan(64 * 1024 * 1024)
})

test('F8 LI4 unfinished headers were cut off within seconds', async () => {
  await Promise.all(slow.map(closed))
})
