import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { Client, type ClientDuplexStream, credentials, Metadata } from '@grpc/grpc-js'
import { typeUrls } from '@zonemesh/core/emit/table.ts'
import {
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
} from '@zonemesh/core/gen/envoy/service/discovery/v3/discovery_pb.js'
import { FromProxySchema, type FromZone, FromZoneSchema } from '@zonemesh/shared/gen/zonemesh/proxy/v1/proxy_pb.js'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { staticCluster, table } from './resources.ts'
import { startZone, until, type Zone } from './rig.ts'

let zone: Zone
let client: Client
beforeAll(async () => {
  zone = await startZone({ token: 'good' })
  zone.table.set(table(1, { cluster: [staticCluster('A', 1)] }))
  client = new Client(`localhost:${zone.server.port}`, credentials.createSsl(Buffer.from(zone.certificate.certificate)))
})
afterAll(async () => {
  client.close()
  await zone[Symbol.asyncDispose]()
})

interface Peer<T> {
  readonly stream: ClientDuplexStream<Buffer, Buffer>
  readonly messages: T[]
  ended: string | undefined
}

const raw = (bytes: Buffer) => bytes

function open<T>(path: string, decode: (bytes: Buffer) => T, token: string): Peer<T> {
  const metadata = new Metadata()
  metadata.set('authorization', token)
  const stream = client.makeBidiStreamRequest(path, raw, raw, metadata)
  const peer: Peer<T> = { stream, messages: [], ended: undefined }
  stream.on('data', (bytes: Buffer) => void peer.messages.push(decode(bytes)))
  stream.on('error', (error) => {
    peer.ended = error.message
  })
  return peer
}

const adsPath = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources'
const openAds = (token = 'good'): Peer<DeltaDiscoveryResponse> =>
  open(adsPath, (bytes) => fromBinary(DeltaDiscoveryResponseSchema, bytes), token)
const node = (id: string, fields: Record<string, string> = {}) => ({
  id,
  metadata: { 'dataplane.proxyType': 'dataplane', ...fields },
})

function ask(peer: Peer<unknown>, init: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): void {
  peer.stream.write(Buffer.from(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, init))))
}

test('PS1 a stream with a valid token is registered with its resource, and gets the table', async () => {
  const peer = openAds()
  ask(peer, {
    node: node('default.web-1', { 'dataplane.resource': '{"type":"Dataplane"}' }),
    typeUrl: typeUrls.cluster,
  })
  const [answer] = await until('an answer comes', () => (peer.messages.length > 0 ? peer.messages : undefined))
  expect(answer?.resources.map((resource) => resource.name)).toEqual(['A'])
  expect(zone.streams.at(-1)).toMatchObject({
    proxy: { type: 'dataplane', mesh: 'default', name: 'web-1' },
    resource: { type: 'Dataplane' },
  })
  peer.stream.cancel()
  await until('the zone hears that it is gone', () => zone.closed.some((one) => one.proxy.name === 'web-1'))
})

test('PS2 an invalid token, a missing node, an unknown proxy type and an invalid resource end the stream with a reason', async () => {
  const cases = [
    [openAds('bad'), { node: node('default.x'), typeUrl: typeUrls.cluster }, 'bad token'],
    [openAds(), { typeUrl: typeUrls.cluster }, 'carries no node'],
    [
      openAds(),
      { node: node('default.x', { 'dataplane.proxyType': 'what' }), typeUrl: typeUrls.cluster },
      'unknown proxy type',
    ],
    [openAds(), { node: node('noDot'), typeUrl: typeUrls.cluster }, 'is not that of a dataplane'],
    [
      openAds(),
      { node: node('default.x', { 'dataplane.resource': '[1]' }), typeUrl: typeUrls.cluster },
      'not a JSON object',
    ],
  ] as const
  const before = zone.streams.length
  for (const [peer, init, reason] of cases) {
    ask(peer, init)
    expect(await until(reason, () => peer.ended)).toContain(reason)
  }
  expect(zone.streams.length).toBe(before)
})

test('PS3 the newer of two streams of one node replaces the older, which is closed before the newer opens', async () => {
  const older = openAds()
  ask(older, { node: node('default.twice'), typeUrl: typeUrls.cluster })
  await until('the older is served', () => older.messages.length > 0)
  const newer = openAds()
  ask(newer, { node: node('default.twice'), typeUrl: typeUrls.cluster })
  await until('the newer is served', () => newer.messages.length > 0)
  expect(await until('the older ends', () => older.ended)).toContain('a newer stream')
  const id = zone.streams.findLast((one) => one.proxy.name === 'twice')?.id
  expect(zone.closed.filter((one) => one.proxy.name === 'twice').map((one) => one.id)).not.toContain(id)
  newer.stream.cancel()
})

test('PS4 a changed node within a stream ends the stream, and the same node again does not', async () => {
  const peer = openAds()
  ask(peer, { node: node('default.same'), typeUrl: typeUrls.cluster })
  await until('it is served', () => peer.messages.length > 0)
  ask(peer, { node: node('default.same'), typeUrl: typeUrls.cluster, responseNonce: peer.messages[0]?.nonce ?? '' })
  ask(peer, { node: node('default.other'), typeUrl: typeUrls.cluster })
  expect(await until('it ends', () => peer.ended)).toContain('node id changed')
})

const openSession = (token = 'good'): Peer<FromZone> =>
  open('/zonemesh.proxy.v1.Proxy/Session', (bytes) => fromBinary(FromZoneSchema, bytes), token)
type ToZone = MessageInitShape<typeof FromProxySchema>['message']
const say = (peer: Peer<unknown>, message: NonNullable<ToZone>) =>
  void peer.stream.write(Buffer.from(toBinary(FromProxySchema, create(FromProxySchema, { message }))))
const hello = (change: Record<string, unknown> = {}) =>
  ({
    case: 'hello',
    value: { proxyType: 'dataplane', mesh: 'default', name: 'web-1', canBindPort80: true, ...change },
  }) as const
const namesOf = (peer: Peer<FromZone>) =>
  peer.messages.map(({ message }) => (message.case === 'names' ? message.value : undefined))
const names = (revision: number, entries: Record<string, string[]>) =>
  zone.names.set({
    store: 's',
    revision,
    ttlSeconds: 30,
    domain: 'mesh',
    addressesByName: new Map(Object.entries(entries)),
  })

test('PS5 a session gets all names first, then differences', async () => {
  names(1, { 'a.mesh': ['127.128.0.2'], 'b.mesh': ['127.128.0.3'] })
  const peer = openSession()
  say(peer, hello())
  await until('names come', () => peer.messages.length === 1)
  expect(namesOf(peer)[0]).toMatchObject({ reset: true, revision: 1n, domain: 'mesh', ttlSeconds: 30 })
  expect(namesOf(peer)[0]?.changed).toHaveLength(2)
  names(2, { 'a.mesh': ['127.128.0.2'], 'c.mesh': ['127.128.0.4'] })
  await until('the difference comes', () => peer.messages.length === 2)
  expect(namesOf(peer)[1]).toMatchObject({
    reset: false,
    revision: 2n,
    changed: [{ name: 'c.mesh' }],
    removed: ['b.mesh'],
  })
  peer.stream.cancel()
})

test('PS5 a proxy that has the current revision receives only later changes', async () => {
  names(5, { 'a.mesh': ['127.128.0.2'] })
  const peer = openSession()
  let heard = false
  peer.stream.on('metadata', () => {
    heard = true
  })
  say(peer, hello({ namesStore: 's', namesRevision: 5n }))
  await until('it is let in', () => heard)
  names(6, { 'a.mesh': ['127.128.0.2'], 'd.mesh': ['127.128.0.5'] })
  await until('the difference comes', () => peer.messages.length > 0)
  expect(namesOf(peer)[0]).toMatchObject({ reset: false, changed: [{ name: 'd.mesh' }] })
  peer.stream.cancel()
})

test('PS6 more than a thousand names are sent in several messages, and the last one has the revision', async () => {
  names(7, Object.fromEntries(Array.from({ length: 2_500 }, (_, index) => [`n${index}.mesh`, ['127.128.1.1']])))
  const peer = openSession()
  say(peer, hello())
  await until('all come', () => peer.messages.length === 3)
  expect(namesOf(peer).map((one) => [one?.reset, one?.revision])).toEqual([
    [true, 0n],
    [false, 0n],
    [false, 7n],
  ])
  peer.stream.cancel()
})

test('PS7 draining is answered when the row is removed, exits are reported, and an invalid token or a missing hello is refused', async () => {
  const peer = openSession()
  say(peer, hello())
  say(peer, { case: 'envoyExited', value: { exitCode: 7, signal: '' } })
  say(peer, { case: 'draining', value: {} })
  await until('removed comes', () => peer.messages.some(({ message }) => message.case === 'removed'))
  expect(zone.events).toEqual(['exited web-1 7 ', 'draining web-1'])
  peer.stream.cancel()
  const stranger = openSession('bad')
  say(stranger, hello())
  expect(await until('it ends', () => stranger.ended)).toContain('bad token')
  const rude = openSession()
  say(rude, { case: 'draining', value: {} })
  expect(await until('it ends', () => rude.ended)).toContain('begins with hello')
})
