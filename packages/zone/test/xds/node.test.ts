import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { typeUrls } from '@zonemesh/core/emit/table.ts'
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from '@zonemesh/core/gen/envoy/service/discovery/v3/discovery_pb.js'
import { StatusSchema } from '@zonemesh/core/gen/google/rpc/status_pb.js'
import { expect, test } from 'vitest'
import { emptyResource } from '../../src/xds/empty.ts'
import { readNode } from '../../src/xds/node.ts'
import { createProven } from '../../src/xds/proven.ts'
import { warmsSlowly } from '../../src/xds/slow-cluster.ts'
import { decodeRequest, encodeResponse, requestFrom } from '../../src/xds/wire.ts'

type Metadata = Record<string, string | number | boolean>
const nodeOf = (id: string, metadata: Metadata) =>
  readNode(create(DeltaDiscoveryRequestSchema, { node: { id, metadata } }).node)
const reasonOf = (id: string, metadata: Metadata) => {
  const read = nodeOf(id, metadata)
  return read.ok ? 'accepted' : read.error
}

test('P23 the node of a stream names the type, mesh and name of its proxy, its resource and the facts about its host', () => {
  const resource = { type: 'Dataplane', name: 'web' }
  const metadata = {
    'dataplane.resource': JSON.stringify(resource),
    'zonemesh.part': 7,
    'zonemesh.canBindPort80': true,
  }
  expect(nodeOf('default.web.1', metadata)).toEqual({
    ok: true,
    value: {
      proxy: { type: 'dataplane', mesh: 'default', name: 'web.1' },
      resource,
      facts: { part: 7, canBindPort80: true },
      metadata,
    },
  })
  for (const type of ['ingress', 'egress'])
    expect(nodeOf('.zone-proxy', { 'dataplane.proxyType': type })).toMatchObject({
      ok: true,
      value: { proxy: { type, mesh: '', name: 'zone-proxy' }, resource: undefined, facts: { canBindPort80: false } },
    })
  const other = nodeOf('a.b', { 'zonemesh.part': '7', 'zonemesh.canBindPort80': 'true', 'dataplane.resource': '' })
  expect(other).toMatchObject({ ok: true, value: { resource: undefined } })
  expect(other.ok && other.value.facts).toEqual({ canBindPort80: false })
})

test('P23 a node without an id of its type, of an unknown type, or with a resource that is no object is refused', () => {
  expect(readNode(undefined)).toEqual({ ok: false, error: 'the first message of the stream carries no node' })
  expect(reasonOf('a.b', { 'dataplane.proxyType': 'sidecar' })).toBe('unknown proxy type "sidecar"')
  for (const id of ['', 'web', 'a.', '.web', '.']) expect(reasonOf(id, {})).toMatch(/is not that of a dataplane$/)
  const ingress = { 'dataplane.proxyType': 'ingress' }
  for (const id of ['', 'web', '.', 'default.web']) expect(reasonOf(id, ingress)).toMatch(/is not that of a ingress$/)
  for (const text of ['{', '5', '[]', 'null', '"text"'])
    expect(reasonOf('a.b', { 'dataplane.resource': text })).toMatch(/dataplane\.resource is not a JSON object$/)
})

test('P24 a request is read from its bytes, and other bytes are refused', () => {
  const message = create(DeltaDiscoveryRequestSchema, {
    typeUrl: typeUrls.cluster,
    responseNonce: '3',
    resourceNamesSubscribe: ['a'],
    resourceNamesUnsubscribe: ['b'],
    initialResourceVersions: { c: '1' },
  })
  const read = (init: Parameters<typeof create<typeof DeltaDiscoveryRequestSchema>>[1]) =>
    requestFrom(decodeRequest(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, init))))
  const expected = { typeUrl: typeUrls.cluster, nonce: '3', subscribe: ['a'], unsubscribe: ['b'], initial: { c: '1' } }
  expect(read(message)).toEqual(expected)
  expect(read({ ...message, errorDetail: create(StatusSchema, { message: '' }) })).toEqual({ ...expected, error: '' })
  expect(() => decodeRequest(Uint8Array.from([0xff]))).toThrow()
})

test('P24 a response has its resources with name, version and type, its nonce and its removed names', () => {
  const resource = { name: 'a', version: 'v1', bytes: Uint8Array.from([1, 2]) }
  const send = { type: 'send', typeUrl: typeUrls.cluster, nonce: '7', changed: [resource, emptyResource('b')] } as const
  // The second response takes the encoded resource from its cache.
  for (const removed of [['x', 'y'], []]) {
    const response = fromBinary(DeltaDiscoveryResponseSchema, encodeResponse({ ...send, removed }))
    expect(response).toMatchObject({ typeUrl: typeUrls.cluster, nonce: '7', removedResources: removed })
    expect(response.resources.map(({ name, version, resource: any }) => [name, version, any?.typeUrl])).toEqual([
      ['a', 'v1', typeUrls.cluster],
      ['b', 'empty', typeUrls.cluster],
    ])
    expect([...(response.resources[0]?.resource?.value ?? [])]).toEqual([1, 2])
  }
})

test.each([1, 127, 128, 16_383, 16_384, 300_000])(
  'X14 an empty resource is its name as the first field: %i bytes',
  (length) => {
    const name = 'n'.repeat(length)
    const { bytes, version } = emptyResource(name)
    expect(version).toBe('empty')
    // The type URL of a request is its first text field but one; any message with a text as field 1 would do.
    const tagged = Uint8Array.from([0x12, ...bytes.slice(1)])
    expect(decodeRequest(tagged).typeUrl).toBe(name)
    expect(bytes[0]).toBe(0x0a)
  },
)

test.each<[string, readonly number[], boolean]>([
  ['nothing', [], false],
  ['a static cluster', [0x10, 0], false],
  ['STRICT_DNS', [0x10, 1], true],
  ['LOGICAL_DNS', [0x10, 2], true],
  ['EDS', [0x10, 3], false],
  ['health checks', [0x42, 0], true],
  ['a cluster type', [0xb2, 0x02, 0], true],
  ['other fields before health checks', [0x0a, 1, 0x61, 0x10, 3, 0x42, 0], true],
])('X8 a cluster warms slowly with health checks, DNS or a cluster type of its own: %s', (_title, bytes, expected) => {
  const cluster = { name: 'a', version: '1', bytes: Uint8Array.from(bytes) }
  expect(warmsSlowly(cluster)).toBe(expected)
  // The answer is kept.
  cluster.bytes = Uint8Array.from(expected ? [] : [0x42, 0])
  expect(warmsSlowly(cluster)).toBe(expected)
})

test('X11 of the accepted versions the newest 200,000 are kept', () => {
  const proven = createProven(3)
  proven.add(['a', 'b', 'c'])
  expect(['a', 'b', 'c', 'd'].map(proven.has)).toEqual([true, true, true, false])
  proven.add(['d', 'e'])
  expect(['a', 'b', 'c', 'd', 'e'].map(proven.has)).toEqual([false, false, true, true, true])
  const large = createProven()
  large.add(Array.from({ length: 200_001 }, (_, index) => `v${index}`))
  expect([large.has('v0'), large.has('v1')]).toEqual([false, true])
})
