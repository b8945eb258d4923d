import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { expect, test } from 'vitest'
import { createArrivals, withheld } from '../../src/door/arrival.ts'

const inbound = (port: number, more: object = {}) => ({ port, tags: { 'kuma.io/service': 'web' }, ...more })
const sidecar = { networking: { address: '10.0.0.1', inbound: [inbound(80), inbound(81, { state: 'NotReady' })] } }
const sidecarFirst = {
  networking: {
    address: '10.0.0.1',
    inbound: [inbound(80, { state: 'NotReady' }), inbound(81, { state: 'NotReady' })],
  },
}
const ingress = {
  networking: { address: '10.0.0.2', port: 10_001, advertisedAddress: '1.2.3.4', advertisedPort: 10_001 },
}

const known = (spec: object) => ({ labels: {}, spec: spec as JsonObject }) // what is written here is JSON

test.each<[string, string, object, unknown]>([
  ['a sidecar', 'Dataplane', sidecar, sidecarFirst],
  ['a sidecar without a ready inbound', 'Dataplane', sidecarFirst, undefined],
  ['a builtin gateway', 'Dataplane', { networking: { gateway: { type: 'BUILTIN' } } }, undefined],
  ['an ingress', 'ZoneIngress', ingress, { networking: { address: '10.0.0.2', port: 10_001 } }],
  ['an ingress without an advertised address', 'ZoneIngress', { networking: { port: 1 } }, undefined],
])('Z25 the fields that are withheld until the Envoy listens: %s', (_title, kind, spec, expected) =>
  expect(withheld(kind, known(spec))?.spec).toEqual(expected),
)

test('Z25 an egress is marked as arriving until its Envoy has answered', () => {
  const egress = known({ networking: { address: '10.0.0.3', port: 10_002 } })
  const arrivals = createArrivals()
  const first = { ...egress, labels: { 'zonemesh.io/arriving': 'yes' } }
  expect(arrivals.begin('e', 'ZoneEgress', egress, undefined)).toEqual(first)
  expect(arrivals.arrived('e')).toBe(egress)
  expect(arrivals.begin('e', 'ZoneEgress', egress, egress)).toBe(egress)
  expect(arrivals.begin('e', 'ZoneEgress', egress, first)).toEqual(first)
})

test('Z25 a new proxy is registered as not ready, and once as ready when its Envoy has answered', () => {
  const arrivals = createArrivals()
  const given = { labels: { a: 'b' }, spec: sidecar }
  expect(arrivals.begin('p', 'Dataplane', given, undefined)).toEqual({ labels: { a: 'b' }, spec: sidecarFirst })
  expect(arrivals.arrived('p')).toBe(given)
  expect(arrivals.arrived('p')).toBeUndefined()
})

test('Z25 a known proxy keeps its state, and a proxy that was left arriving is still arriving', () => {
  const arrivals = createArrivals()
  const given = { labels: {}, spec: sidecar }
  expect(arrivals.begin('p', 'Dataplane', given, known(sidecar))).toBe(given)
  expect(arrivals.arrived('p')).toBeUndefined()
  expect(arrivals.begin('p', 'Dataplane', given, known(sidecarFirst)).spec).toEqual(sidecarFirst)
  arrivals.gone('p')
  expect(arrivals.arrived('p')).toBeUndefined()
  arrivals.begin('p', 'Dataplane', given, known(sidecarFirst))
  expect(arrivals.arrived('p')).toBe(given)
})
