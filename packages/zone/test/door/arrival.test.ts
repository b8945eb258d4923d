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

test.each<[string, string, Parameters<typeof withheld>[1], unknown]>([
  ['a sidecar', 'Dataplane', sidecar, sidecarFirst],
  ['one with nothing that is ready', 'Dataplane', sidecarFirst, undefined],
  ['a builtin gateway', 'Dataplane', { networking: { gateway: { type: 'BUILTIN' } } }, undefined],
  ['an ingress', 'ZoneIngress', ingress, { networking: { address: '10.0.0.2', port: 10_001 } }],
  ['an ingress that nobody can reach', 'ZoneIngress', { networking: { port: 1 } }, undefined],
  ['an egress', 'ZoneEgress', { networking: { address: '10.0.0.3', port: 10_002 } }, undefined],
])('Z25 what is withheld of %s until its Envoy listens', (_title, kind, spec, expected) =>
  expect(withheld(kind, spec)).toEqual(expected),
)

test('Z25 a new proxy is registered as one that nobody is led to, and when its Envoy has answered as what it is, once', () => {
  const arrivals = createArrivals()
  const given = { labels: { a: 'b' }, spec: sidecar }
  expect(arrivals.begin('p', 'Dataplane', given, undefined)).toEqual({ labels: { a: 'b' }, spec: sidecarFirst })
  expect(arrivals.arrived('p')).toBe(given)
  expect(arrivals.arrived('p')).toBeUndefined()
})

test('Z25 one that is known keeps what it has; one that was left on its way is still on it', () => {
  const arrivals = createArrivals()
  const given = { labels: {}, spec: sidecar }
  expect(arrivals.begin('p', 'Dataplane', given, sidecar)).toBe(given)
  expect(arrivals.arrived('p')).toBeUndefined()
  expect(arrivals.begin('p', 'Dataplane', given, sidecarFirst).spec).toEqual(sidecarFirst)
  arrivals.gone('p')
  expect(arrivals.arrived('p')).toBeUndefined()
  arrivals.begin('p', 'Dataplane', given, sidecarFirst)
  expect(arrivals.arrived('p')).toBe(given)
})
