import { keyText } from '@zonemesh/shared/resource/resource.ts'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { announcementName, composeAvailableServices, createAnnouncements } from '../../src/edge/announcements.ts'
import type { DataplaneInbound, DataplaneSpec } from '../../src/kinds/dataplane-spec.ts'
import { createRows, put, remove } from '../compile/derived.ts'
import { builtinGateway, global, meshGateway, sidecar, zoned } from '../compile/scene.ts'

const dataplane = (name: string, mesh = 'default') => zoned('east', 'Dataplane', name, mesh)

function createZone() {
  const rows = createRows()
  const announcements = createAnnouncements({ zone: 'east' })
  return {
    rows,
    announcements,
    commit(...changes: Parameters<typeof rows.commit>[0]) {
      const derived = announcements.preview(changes)
      expect(announcements.preview(changes)).toEqual(derived)
      announcements.applied(rows.commit([...changes, ...derived]))
      return derived
    },
    shown: () => composeAvailableServices(rows.ofKind('AvailableService')),
  }
}

test('AN1 inbounds with equal tags are counted together, and each other tag set has its own row with the zone in it', () => {
  const zone = createZone()
  zone.commit(put(dataplane('a'), sidecar('10.0.0.1', 'web')), put(dataplane('b'), sidecar('10.0.0.2', 'web')))
  zone.commit(put(dataplane('c'), sidecar('10.0.0.3', 'web', { version: 'v2' })))
  zone.commit(put(dataplane('d', 'other'), sidecar('10.0.0.4', 'web')))
  const tags = { 'kuma.io/service': 'web', 'kuma.io/protocol': 'http', 'kuma.io/zone': 'east' }
  expect(zone.shown()).toEqual([
    { mesh: 'default', instances: 2, tags },
    { mesh: 'default', instances: 1, tags: { ...tags, version: 'v2' } },
    { mesh: 'other', instances: 1, tags },
  ])
})

test('AN2 gateways, inbounds that are not ready and Dataplanes of other zones announce nothing', () => {
  const zone = createZone()
  const state = (one: object) => {
    const { networking } = sidecar('10.0.0.1', 'web')
    return { networking: { ...networking, inbound: networking.inbound.map((inbound) => ({ ...inbound, ...one })) } }
  }
  zone.commit(
    put(dataplane('gateway'), builtinGateway('10.0.0.9')),
    put(dataplane('not-ready'), state({ state: 'NotReady' })),
    put(dataplane('ignored'), state({ state: 'Ignored' })),
    put(dataplane('unhealthy'), state({ health: { ready: false } })),
    put(dataplane('junk'), { networking: { inbound: 3 } }),
    put(zoned('west', 'Dataplane', 'foreign'), sidecar('10.0.0.1', 'web')),
  )
  expect(zone.shown()).toEqual([])
})

const crossMesh = (port: number, tags: object = {}) => ({ port, protocol: 'HTTP', crossMesh: true, tags })
const offered = (port: number, more: object = {}) => ({
  mesh: 'default',
  instances: 1,
  tags: {
    'kuma.io/service': 'edge-gateway',
    'kuma.io/zone': 'east',
    'kuma.io/mesh': 'default',
    'zonemesh.io/port': String(port),
    ...more,
  },
})

test('GW23 crossMesh listeners are announced with their mesh, in either order of the rows', () => {
  const gateway = put(global('MeshGateway', 'api'), {
    ...meshGateway([crossMesh(80), crossMesh(80), crossMesh(81, { l: '1' }), { port: 82, protocol: 'HTTP' }]),
    tags: { g: '1' },
  })
  const proxy = put(dataplane('gateway'), builtinGateway('10.0.0.9'))
  for (const [one, other] of [
    [gateway, proxy],
    [proxy, gateway],
  ] as const) {
    const zone = createZone()
    zone.commit(one)
    zone.commit(other)
    expect(zone.shown()).toEqual([offered(81, { g: '1', l: '1' }), offered(80, { g: '1' })])
    zone.commit(put(dataplane('second'), builtinGateway('10.0.0.8')))
    expect(zone.shown().map(({ instances }) => instances)).toEqual([2, 2])
    const restarted = createAnnouncements({ zone: 'east' })
    restarted.applied(zone.rows.versions())
    expect(restarted.preview([])).toEqual([])
    zone.commit(remove(global('MeshGateway', 'api')))
    expect(zone.shown()).toEqual([])
  }
})

test('GW23 only the gateway that serves the proxy is announced, not a gateway of another zone or an invalid one', () => {
  const zone = createZone()
  zone.commit(
    put(dataplane('gateway'), builtinGateway('10.0.0.9')),
    put(global('MeshGateway', 'any'), {
      ...meshGateway([crossMesh(70)]),
      selectors: [{ match: { 'kuma.io/service': '*' } }],
    }),
    put(global('MeshGateway', 'api'), meshGateway([crossMesh(80)])),
    put(zoned('west', 'MeshGateway', 'foreign'), meshGateway([crossMesh(90)])),
    put(global('MeshGateway', 'broken'), { selectors: [{ match: { 'kuma.io/service': 'edge-gateway' } }], conf: 3 }),
    put(global('MeshGateway', 'other', 'other'), meshGateway([crossMesh(91)])),
    put(global('MeshGateway', 'of-another-service'), meshGateway([crossMesh(60)], 'another-gateway')),
  )
  expect(zone.shown()).toEqual([offered(80)])
  expect(zone.commit({ op: 'check', key: global('MeshGateway', 'api'), expect: { present: true } })).toEqual([])
  zone.commit(remove(global('MeshGateway', 'api')))
  expect(zone.shown()).toEqual([offered(70)])
  zone.commit(put(dataplane('second'), builtinGateway('10.0.0.8')))
  expect(zone.shown()).toEqual([{ ...offered(70), instances: 2 }])
})

test('AN3 a change that does not affect an announcement writes no row', () => {
  const zone = createZone()
  zone.commit(put(dataplane('a'), sidecar('10.0.0.1', 'web')))
  expect(zone.commit(put(dataplane('a'), sidecar('10.0.0.77', 'web')))).toEqual([])
  expect(zone.commit(remove(dataplane('a'))).map((change) => change.op)).toEqual(['delete'])
  expect(zone.commit(remove(dataplane('a')))).toEqual([])
})

test('AN4 the first commit after a start repairs announcements that do not match', () => {
  const before = createZone()
  before.commit(put(dataplane('a'), sidecar('10.0.0.1', 'web')))
  before.rows.commit([put(dataplane('b'), sidecar('10.0.0.2', 'web')), put(dataplane('c'), sidecar('10.0.0.3', 'api'))])
  const announcements = createAnnouncements({ zone: 'east' })
  announcements.applied(before.rows.versions())
  announcements.applied(before.rows.commit(announcements.preview([])))
  expect(composeAvailableServices(before.rows.ofKind('AvailableService')).map((one) => one.instances)).toEqual([1, 2])
  expect(announcements.preview([])).toEqual([])
})

test('AN4 the first commit after a start removes an announcement without any instance', () => {
  const zone = createZone()
  const tags = { 'kuma.io/service': 'web', 'kuma.io/zone': 'east' }
  const row = zoned('east', 'AvailableService', announcementName(tags))
  zone.announcements.applied(zone.rows.commit([put(row, { tags, instances: 1 })]))
  expect(zone.commit()).toEqual([remove(row)])
  expect(zone.commit()).toEqual([])
})

test('AN1 announcements of other zones do not count, and the rows of one commit are sorted by their tags', () => {
  const zone = createZone()
  const tags = { 'kuma.io/service': 'web', 'kuma.io/protocol': 'http', 'kuma.io/zone': 'east' }
  zone.commit(put(zoned('west', 'AvailableService', announcementName(tags)), { tags, instances: 1 }))
  const derived = zone.commit(
    ...['web', 'api', 'db'].map((service) => put(dataplane(service), sidecar('10.0.0.1', service))),
  )
  expect(derived.map((change) => (change.op === 'put' ? change.spec : undefined))).toEqual(
    ['api', 'db', 'web'].map((service) => ({ tags: { ...tags, 'kuma.io/service': service }, instances: 1 })),
  )
})

test('AN5 after any changes the announcements equal a fresh count', () => {
  const change = fc.tuple(
    fc.constantFrom('a', 'b', 'c'),
    fc.constantFrom('default', 'other'),
    fc.option(fc.array(fc.constantFrom('web', 'api'), { maxLength: 3 })),
  )
  fc.assert(
    fc.property(
      fc.array(fc.uniqueArray(change, { selector: ([name, mesh]) => name + mesh, maxLength: 3 }), { maxLength: 15 }),
      (commits) => {
        const zone = createZone()
        for (const commit of commits) {
          zone.commit(
            ...commit.map(([name, mesh, services]) =>
              services === null
                ? remove(dataplane(name, mesh))
                : put(dataplane(name, mesh), {
                    networking: {
                      address: '10.0.0.1',
                      inbound: services.map((service) => ({ port: 1, tags: { 'kuma.io/service': service } })),
                    },
                  }),
            ),
          )
          const counted = new Map<string, number>()
          for (const row of zone.rows.ofKind('Dataplane')) {
            // The spec was written above.
            const inbounds: readonly DataplaneInbound[] = (row.spec as DataplaneSpec).networking?.inbound ?? []
            for (const one of inbounds) {
              const key = `${row.key.mesh} ${one.tags?.['kuma.io/service']}`
              counted.set(key, (counted.get(key) ?? 0) + 1)
            }
          }
          expect(
            new Map(zone.shown().map((one) => [`${one.mesh} ${one.tags['kuma.io/service']}`, one.instances])),
          ).toEqual(counted)
        }
        // A restart gives the same result.
        const again = createAnnouncements({ zone: 'east' })
        again.applied(zone.rows.versions())
        expect(again.preview([])).toEqual([])
        expect(new Set(zone.rows.ofKind('AvailableService').map((row) => keyText(row.key))).size).toBe(
          zone.shown().length,
        )
      },
    ),
  )
})
