import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { VirtualAddressSpec } from '../../src/kinds/internal.ts'
import { createAddressBook } from '../../src/names/address-book.ts'
import { createRows, put, remove } from '../compile/derived.ts'
import { global, meshGateway, sidecar, zoned } from '../compile/scene.ts'

const dataplane = (name: string, mesh = 'default') => zoned('east', 'Dataplane', name, mesh)
const announced = (name: string, service: string, mesh = 'default') =>
  put(zoned('west', 'AvailableService', name, mesh), { tags: { 'kuma.io/service': service }, instances: 1 })

function createZone(quarantineMs = 600_000, wallOf = (nowMs: number) => nowMs) {
  const rows = createRows()
  const book = createAddressBook({ zone: 'east', quarantineMs })
  return {
    rows,
    commit(nowMs: number, ...changes: Parameters<typeof rows.commit>[0]) {
      const now = { wallMs: wallOf(nowMs), monotonicMs: nowMs }
      const derived = book.preview(changes, now)
      expect(book.preview(changes, now)).toEqual(derived)
      book.applied(rows.commit([...changes, ...derived]), nowMs)
      return derived
    },
    book,
    /** `<mesh>/<service>` → number, with a cross behind a released one. */
    numbers: () =>
      Object.fromEntries(
        rows.ofKind('VirtualAddress').map(({ key, spec }) => {
          // Only the book writes these rows.
          const { number, releasedAtMs } = spec as VirtualAddressSpec
          return [`${key.mesh}/${key.name}`, releasedAtMs === undefined ? String(number) : `${number}x`]
        }),
      ),
  }
}

test('the lowest free number first, from 0, unique over all meshes', () => {
  const zone = createZone()
  zone.commit(0, put(dataplane('b'), sidecar('10.0.0.1', 'b')), put(dataplane('a'), sidecar('10.0.0.2', 'a')))
  zone.commit(1, announced('w', 'c'), announced('v', 'a', 'other'))
  expect(zone.numbers()).toEqual({ 'default/a': '0', 'default/b': '1', 'default/c': '2', 'other/a': '3' })
})

test('GW24 hosts of gateways have numbers as services have, wherever the gateway runs; what is announced of it has none', () => {
  const zone = createZone()
  const listeners = [
    { port: 80, protocol: 'HTTP', crossMesh: true, hostname: 'a.test' },
    { port: 81, protocol: 'HTTP', crossMesh: true },
    { port: 82, protocol: 'HTTP' },
  ]
  zone.commit(0, put(global('MeshGateway', 'edge'), meshGateway(listeners)))
  zone.commit(
    1,
    put(zoned('west', 'AvailableService', 'x'), {
      tags: { 'kuma.io/service': 'edge-gateway', 'kuma.io/mesh': 'default' },
      instances: 1,
    }),
    put(zoned('west', 'MeshGateway', 'foreign'), meshGateway(listeners)),
  )
  expect(zone.numbers()).toEqual({ 'default/@a.test': '0', 'default/@internal.edge.default.mesh': '1' })
  zone.commit(2, put(global('MeshGateway', 'edge'), meshGateway(listeners.slice(0, 1))))
  expect(zone.numbers()).toEqual({ 'default/@a.test': '0', 'default/@internal.edge.default.mesh': '1x' })
})

test('stable while anybody names the service, ready or not', () => {
  const zone = createZone()
  zone.commit(0, put(dataplane('a'), sidecar('10.0.0.1', 'web')), announced('w', 'web'))
  expect(zone.commit(1, remove(dataplane('a')))).toEqual([])
  const { networking } = sidecar('10.0.0.1', 'web')
  const notReady = {
    networking: { ...networking, inbound: networking.inbound.map((one) => ({ ...one, state: 'NotReady' })) },
  }
  expect(zone.commit(2, put(dataplane('b'), notReady))).toEqual([])
  expect(zone.commit(3, remove(zoned('west', 'AvailableService', 'w')))).toEqual([])
  expect(zone.numbers()).toEqual({ 'default/web': '0' })
})

test('a service that comes back in time has its number, nobody else has it before', () => {
  const zone = createZone()
  zone.commit(0, announced('a', 'a'))
  zone.commit(1_000, remove(zoned('west', 'AvailableService', 'a')))
  zone.commit(600_000, announced('b', 'b'))
  expect(zone.numbers()).toEqual({ 'default/a': '0x', 'default/b': '1' })
  zone.commit(600_500, announced('a', 'a'))
  expect(zone.numbers()).toEqual({ 'default/a': '0', 'default/b': '1' })
})

test('after the quarantine the number is given out again, and the old rows go with it', () => {
  const zone = createZone()
  zone.commit(0, announced('a', 'a'))
  zone.commit(1_000, remove(zoned('west', 'AvailableService', 'a')))
  zone.commit(601_000, announced('b', 'b'))
  expect(zone.numbers()).toEqual({ 'default/b': '0' })
  expect(zone.rows.ofKind('VirtualAddressNumber').map((row) => [row.key.name, row.spec])).toEqual([
    ['0', { mesh: 'default', service: 'b' }],
  ])
})

test('N1 the rows of services that nothing names are removed once their quarantine has ended, also by a commit of nothing', () => {
  const zone = createZone()
  zone.commit(0, announced('a', 'a'), announced('b', 'b'), announced('c', 'c'))
  zone.commit(1_000, remove(zoned('west', 'AvailableService', 'a')))
  zone.commit(2_000, remove(zoned('west', 'AvailableService', 'b')))
  expect(zone.book.hasExpired(600_999)).toBe(false)
  expect(zone.commit(600_999)).toEqual([])
  expect(zone.book.hasExpired(601_000)).toBe(true)
  zone.commit(601_000)
  expect(zone.numbers()).toEqual({ 'default/b': '1x', 'default/c': '2' })
  expect(zone.rows.ofKind('VirtualAddressNumber').map(({ key }) => key.name)).toEqual(['1', '2'])
  expect(zone.book.hasExpired(601_000)).toBe(false)
  zone.commit(700_000, announced('d', 'd'))
  expect(zone.numbers()).toEqual({ 'default/c': '2', 'default/d': '0' })
})

test('N1 very many are removed in several commits', () => {
  const zone = createZone()
  const services = Array.from({ length: 500 }, (_, index) => `s${index}`)
  zone.commit(0, ...services.map((service) => announced(service, service)))
  zone.commit(1, ...services.map((service) => remove(zoned('west', 'AvailableService', service))))
  const nowMs = 600_001
  while (zone.book.hasExpired(nowMs)) expect(zone.commit(nowMs).length).toBeLessThanOrEqual(400)
  expect(zone.rows.ofKind('VirtualAddress')).toEqual([])
  expect(zone.rows.ofKind('VirtualAddressNumber')).toEqual([])
})

test('G9 a wall clock that jumps does not end a quarantine', () => {
  const zone = createZone(600_000, (nowMs) => (nowMs < 2_000 ? nowMs : nowMs + 315_360_000_000))
  zone.commit(0, announced('a', 'a'))
  zone.commit(1_000, remove(zoned('west', 'AvailableService', 'a')))
  zone.commit(10_000, announced('b', 'b'))
  expect(zone.numbers()).toEqual({ 'default/a': '0x', 'default/b': '1' })
})

test('late, but before anybody needed it, a service has its number again', () => {
  const zone = createZone()
  zone.commit(0, announced('a', 'a'))
  zone.commit(1_000, remove(zoned('west', 'AvailableService', 'a')))
  zone.commit(9_000_000, announced('a', 'a'), announced('b', 'b'))
  expect(zone.numbers()).toEqual({ 'default/a': '0', 'default/b': '1' })
})

test('no two services ever have one number within the quarantine, over restarts too', () => {
  const quarantineMs = 100
  const change = fc.tuple(
    fc.constantFrom('p', 'q', 'r'),
    fc.constantFrom('default', 'other'),
    fc.option(fc.constantFrom('a', 'b', 'c', 'd')),
  )
  const commit = fc.tuple(
    fc.integer({ min: 0, max: 80 }),
    fc.uniqueArray(change, { selector: ([name, mesh]) => name + mesh, maxLength: 3 }),
    fc.boolean(),
  )
  fc.assert(
    fc.property(fc.array(commit, { maxLength: 40 }), (commits) => {
      const zone = createZone(quarantineMs)
      let book = zone.book
      let nowMs = 0
      const lastUse = new Map<number, { service: string; atMs: number }>()
      for (const [waitMs, changes, restarts] of commits) {
        nowMs += waitMs
        if (restarts) {
          book = createAddressBook({ zone: 'east', quarantineMs })
          book.applied(zone.rows.versions(), nowMs)
        }
        const written = changes.map(([name, mesh, service]) =>
          service === null ? remove(zoned('west', 'AvailableService', name, mesh)) : announced(name, service, mesh),
        )
        // Whoever is live until now was in use until now.
        for (const [service, number] of Object.entries(zone.numbers())) {
          if (!number.endsWith('x')) lastUse.set(Number(number), { service, atMs: nowMs })
        }
        book.applied(
          zone.rows.commit([...written, ...book.preview(written, { wallMs: nowMs, monotonicMs: nowMs })]),
          nowMs,
        )
        const live = Object.entries(zone.numbers()).filter(([, number]) => !number.endsWith('x'))
        const wanted = new Set(
          // Written above.
          zone.rows
            .ofKind('AvailableService')
            .map((row) => `${row.key.mesh}/${(row.spec as { tags: Record<string, string> }).tags['kuma.io/service']}`),
        )
        expect(new Set(live.map(([service]) => service))).toEqual(wanted)
        expect(new Set(live.map(([, number]) => number)).size).toBe(live.length)
        for (const [service, number] of live) {
          const last = lastUse.get(Number(number))
          if (last && last.service !== service) expect(nowMs - last.atMs).toBeGreaterThanOrEqual(quarantineMs)
        }
        // Both unique keys say the same.
        const holders = Object.fromEntries(
          zone.rows
            .ofKind('VirtualAddressNumber')
            .map((row) => [`${row.spec['mesh']}/${row.spec['service']}`, row.key.name]),
        )
        expect(holders).toEqual(
          Object.fromEntries(
            Object.entries(zone.numbers()).map(([service, number]) => [service, number.replace('x', '')]),
          ),
        )
      }
    }),
    { numRuns: 300 },
  )
})
