import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { Client, credentials, Metadata, status } from '@grpc/grpc-js'
import { typeUrls } from '@zonemesh/core/emit/table.ts'
import { DeltaDiscoveryRequestSchema } from '@zonemesh/core/gen/envoy/service/discovery/v3/discovery_pb.js'
import { FromProxySchema, FromZoneSchema } from '@zonemesh/shared/gen/zonemesh/proxy/v1/proxy_pb.js'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { api, local, until } from '../e2e/rig.ts'
import { type Plane, startPlane } from './rig.ts'

const adsPath = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources'
const sessionPath = '/zonemesh.proxy.v1.Proxy/Session'

let plane: Plane
let client: Client
/** Tokens that allow the tag `kuma.io/service` to have one value, and no name. */
let ofWeb: string
let ofOther: string

beforeAll(async () => {
  plane = await startPlane('zone')
  const tokenOf = async (service: string): Promise<string> => {
    const body = { mesh: 'default', tags: { 'kuma.io/service': [service] }, type: 'dataplane' }
    return (await api(plane.address).need('POST', '/tokens/dataplane', body)).text.trim()
  }
  ofWeb = await tokenOf('web')
  ofOther = await tokenOf('other')
  const trustAny = credentials.createSsl(null, null, null, { rejectUnauthorized: false })
  client = new Client(`${local}:${plane.ports.proxy}`, trustAny)
})
afterAll(async () => {
  client.close()
  await plane[Symbol.asyncDispose]()
})

interface Stream {
  send(bytes: Uint8Array): void
  /** The received bytes, in order. */
  readonly received: Buffer[]
  /** The end of the stream; undefined while it is open. */
  end(): { readonly code: number; readonly details: string } | undefined
  close(): void
}

function open(path: string, token: string): Stream {
  const metadata = new Metadata()
  metadata.set('authorization', `Bearer ${token}`)
  const raw = (bytes: Buffer): Buffer => bytes
  const call = client.makeBidiStreamRequest(path, raw, raw, metadata)
  const received: Buffer[] = []
  let ended: { code: number; details: string } | undefined
  call.on('data', (bytes: Buffer) => received.push(bytes)).on('error', () => {})
  call.on('status', ({ code, details }) => {
    ended = { code, details }
  })
  return {
    send: (bytes) => void call.write(Buffer.from(bytes)),
    received,
    end: () => ended,
    close: () => call.cancel(),
  }
}

const documentOf = (name: string, service: string) => ({
  type: 'Dataplane',
  mesh: 'default',
  name,
  networking: { address: '192.168.0.7', inbound: [{ port: 8080, tags: { 'kuma.io/service': service } }] },
})

/** An Envoy's stream that registers a proxy. */
function ads(name: string, service: string, token: string): Stream {
  const stream = open(adsPath, token)
  const resource = JSON.stringify(documentOf(name, service))
  const node = {
    id: `default.${name}`,
    metadata: { 'dataplane.proxyType': 'dataplane', 'dataplane.resource': resource },
  }
  stream.send(
    toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, { node, typeUrl: typeUrls.cluster })),
  )
  return stream
}

const fromProxy = (message: MessageInitShape<typeof FromProxySchema>['message']): Uint8Array =>
  toBinary(FromProxySchema, create(FromProxySchema, message === undefined ? {} : { message }))

function session(name: string, token: string): Stream {
  const stream = open(sessionPath, token)
  stream.send(fromProxy({ case: 'hello', value: { proxyType: 'dataplane', mesh: 'default', name } }))
  return stream
}

const serviceOf = async (name: string): Promise<unknown> => {
  const answer = await api(plane.address).call('GET', `/meshes/default/dataplanes/${name}`)
  if (answer.status !== 200) return answer.status
  const { networking } = answer.json as { networking: { inbound: { tags: Record<string, string> }[] } }
  return networking.inbound[0]?.tags['kuma.io/service']
}
const untilServed = (name: string, service: unknown) =>
  until(
    `${name} is registered as ${String(service)}`,
    () => serviceOf(name),
    (found) => found === service,
  )
const untilEnded = async (stream: Stream) => {
  await until(
    'the stream has ended',
    () => stream.end(),
    (end) => end !== undefined,
  )
  return stream.end()
}

test('V20 a token of another service does not replace the Dataplane of a proxy, and its stream stays open', async () => {
  const owner = ads('victim', 'web', ofWeb)
  await untilServed('victim', 'web')
  const end = await untilEnded(ads('victim', 'other', ofOther))
  expect(end).toEqual({
    code: status.UNAUTHENTICATED,
    details: 'the token does not allow kuma.io/service=web; it must also cover the Dataplane "victim" as it is stored',
  })
  expect(await serviceOf('victim')).toBe('web')
  expect(owner.end()).toBeUndefined()
  // A caller with tokens of both services may change it.
  owner.close()
})

test('V20 a session that was opened before its proxy was registered removes no row that its token does not cover', async () => {
  const stranger = session('late', ofOther)
  await until(
    'the stranger gets names',
    () => stranger.received.length,
    (count) => count > 0,
  )
  const owner = ads('late', 'web', ofWeb)
  await untilServed('late', 'web')
  stranger.send(fromProxy({ case: 'draining', value: {} }))
  expect(await untilEnded(stranger)).toMatchObject({ code: status.PERMISSION_DENIED })
  expect(await serviceOf('late')).toBe('web')
  expect(owner.end()).toBeUndefined()
  const own = session('late', ofWeb)
  own.send(fromProxy({ case: 'draining', value: {} }))
  await untilServed('late', 404)
  await until(
    'the session is answered',
    () => own.received.map((bytes) => fromBinary(FromZoneSchema, bytes).message.case),
    (cases) => cases.includes('removed'),
  )
  own.close()
  owner.close()
})

test('V20 a token that allows both services replaces one with the other', async () => {
  const body = { mesh: 'default', tags: { 'kuma.io/service': ['web', 'other'] }, type: 'dataplane' }
  const ofBoth = (await api(plane.address).need('POST', '/tokens/dataplane', body)).text.trim()
  const before = ads('moving', 'web', ofWeb)
  await untilServed('moving', 'web')
  const after = ads('moving', 'other', ofBoth)
  await untilServed('moving', 'other')
  before.close()
  after.close()
})
