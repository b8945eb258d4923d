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
      const now = { wallMs: wallOf(nowMs), monotonicMs: nowMs, incarnation: 1 }
      const derived = book.preview(changes, now)
      expect(book.preview(changes, now)).toEqual(derived)
      book.applied(rows.commit([...changes, ...derived]), nowMs)
      return derived
    },
    book,
    /** `<mesh>/<service>` → number, with a cross after a released number. */
    numbers: () =>
      Object.fromEntries(
        rows.ofKind('VirtualAddress').map(({ key, spec }) => {
          // Only the address book writes these rows.
          const { number, releasedAtMs } = spec as VirtualAddressSpec
          return [`${key.mesh}/${key.name}`, releasedAtMs === undefined ? String(number) : `${number}x`]
        }),
      ),
  }
}

test('N2 a service gets the lowest free number from 0, unique over all meshes', () => {
  const zone = createZone()
  zone.commit(0, put(dataplane('b'), sidecar('10.0.0.1', 'b')), put(dataplane('a'), sidecar('10.0.0.2', 'a')))
  zone.commit(1, announced('w', 'c'), announced('v', 'a', 'other'))
  expect(zone.numbers()).toEqual({ 'default/a': '0', 'default/b': '1', 'default/c': '2', 'other/a': '3' })
})

test('N2 the rows of a new number expect no rows of it, so that two commits cannot assign it twice', () => {
  const zone = createZone()
  const number = (name: string) => zoned('east', 'VirtualAddressNumber', name, '')
  const written = (service: string, holder: object) => [
    {
      op: 'put',
      key: zoned('east', 'VirtualAddress', service),
      labels: {},
      spec: { number: 0 },
      expect: { absent: true },
    },
    { op: 'put', key: number('0'), labels: {}, spec: { mesh: 'default', service }, expect: holder },
  ]
  expect(zone.commit(0, announced('a', 'a'))).toEqual(written('a', { absent: true }))
  zone.commit(1_000, remove(zoned('west', 'AvailableService', 'a')))
  expect(zone.commit(601_000, announced('b', 'b'))).toEqual([
    remove(zoned('east', 'VirtualAddress', 'a')),
    ...written('b', { present: true }),
  ])
})

test('N2 rows of other zones assign no numbers here, and each change of a number is counted', () => {
  const zone = createZone()
  zone.commit(0, announced('a', 'a'), put(zoned('west', 'VirtualAddress', 'b'), { number: 0 }))
  expect(Object.fromEntries(zone.book.numbers())).toEqual({ 'default/a': 0 })
  expect(zone.book.changes()).toBe(1)
  zone.commit(1, announced('a', 'a'))
  expect(zone.book.changes()).toBe(1)
  zone.commit(2, announced('a', 'c'))
  expect(zone.book.changes()).toBe(3)
  expect(zone.book.isWaiting()).toBe(false)
  expect(zone.book.isShort({ wallMs: 2, monotonicMs: 2, incarnation: 1 })).toBe(false)
})

test('GW24 hosts of crossMesh gateways get numbers like services, in every zone, and their announcements get none', () => {
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

test('N3 a number is stable while any row names the service, ready or not', () => {
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

test('N4 a service that returns within its quarantine keeps its number, and no other service gets it before', () => {
  const zone = createZone()
  zone.commit(0, announced('a', 'a'))
  zone.commit(1_000, remove(zoned('west', 'AvailableService', 'a')))
  zone.commit(600_000, announced('b', 'b'))
  expect(zone.numbers()).toEqual({ 'default/a': '0x', 'default/b': '1' })
  zone.commit(600_500, announced('a', 'a'))
  expect(zone.numbers()).toEqual({ 'default/a': '0', 'default/b': '1' })
})

test('N4 after the quarantine the number can be assigned again, and the old rows are removed in the same commit', () => {
  const zone = createZone()
  zone.commit(0, announced('a', 'a'))
  zone.commit(1_000, remove(zoned('west', 'AvailableService', 'a')))
  zone.commit(601_000, announced('b', 'b'))
  expect(zone.numbers()).toEqual({ 'default/b': '0' })
  expect(zone.rows.ofKind('VirtualAddressNumber').map((row) => [row.key.name, row.spec])).toEqual([
    ['0', { mesh: 'default', service: 'b' }],
  ])
})

test('N1 the rows of services that no row names are removed after their quarantine, also by an empty commit', () => {
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

test('N1 a large number of expired rows is removed in several commits', () => {
  const zone = createZone()
  const services = Array.from({ length: 500 }, (_, index) => `s${index}`)
  zone.commit(0, ...services.map((service) => announced(service, service)))
  zone.commit(1, ...services.map((service) => remove(zoned('west', 'AvailableService', service))))
  const nowMs = 600_001
  const counts: number[] = []
  while (zone.book.hasExpired(nowMs)) counts.push(zone.commit(nowMs).length)
  expect(counts).toEqual([400, 400, 200])
  expect(zone.rows.ofKind('VirtualAddress')).toEqual([])
  expect(zone.rows.ofKind('VirtualAddressNumber')).toEqual([])
})

test('N1 a quarantine lasts ten minutes, unless an option says otherwise', () => {
  const rows = createRows()
  const book = createAddressBook({ zone: 'east' })
  book.applied(rows.commit([put(zoned('east', 'VirtualAddress', 'a'), { number: 0, releasedAtMs: 0 })]), 0)
  expect([599_999, 600_000].map((nowMs) => book.hasExpired(nowMs))).toEqual([false, true])
})

test('G9 a jump of the wall clock does not end a quarantine', () => {
  const zone = createZone(600_000, (nowMs) => (nowMs < 2_000 ? nowMs : nowMs + 315_360_000_000))
  zone.commit(0, announced('a', 'a'))
  zone.commit(1_000, remove(zoned('west', 'AvailableService', 'a')))
  zone.commit(10_000, announced('b', 'b'))
  expect(zone.numbers()).toEqual({ 'default/a': '0x', 'default/b': '1' })
})

test('N4 a service that returns late gets its former number if no other service has it', () => {
  const zone = createZone()
  zone.commit(0, announced('a', 'a'))
  zone.commit(1_000, remove(zoned('west', 'AvailableService', 'a')))
  zone.commit(9_000_000, announced('a', 'a'), announced('b', 'b'))
  expect(zone.numbers()).toEqual({ 'default/a': '0', 'default/b': '1' })
})

test('N4 within the quarantine no two services have the same number, also over restarts', () => {
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
        // A service that is live now has used its number until now.
        for (const [service, number] of Object.entries(zone.numbers())) {
          if (!number.endsWith('x')) lastUse.set(Number(number), { service, atMs: nowMs })
        }
        book.applied(
          zone.rows.commit([
            ...written,
            ...book.preview(written, { wallMs: nowMs, monotonicMs: nowMs, incarnation: 1 }),
          ]),
          nowMs,
        )
        const live = Object.entries(zone.numbers()).filter(([, number]) => !number.endsWith('x'))
        const wanted = new Set(
          // The test wrote these rows above.
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
        // Both unique keys must agree.
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

/** A zone whose global grants its numbers. A test may raise its incarnation. */
function createGrantedZone() {
  const rows = createRows()
  const restart = () => {
    const book = createAddressBook({ zone: 'east', quarantineMs: 100, isGranted: true })
    book.applied(rows.versions(), 0)
    return book
  }
  let book = restart()
  const zone = {
    incarnation: 1,
    nowMs: 0,
    now: () => ({ wallMs: zone.nowMs, monotonicMs: zone.nowMs, incarnation: zone.incarnation }),
    commit(...changes: Parameters<typeof rows.commit>[0]) {
      book.applied(rows.commit([...changes, ...book.preview(changes, zone.now())]), zone.nowMs)
    },
    request: () => book.request(zone.now()),
    grant(below: number, before = 0, recalled?: Readonly<Record<string, number>>, isOlderCopy = false) {
      const grant = { below, before, recalled: recalled && new Map(Object.entries(recalled)), isOlderCopy }
      zone.commit(...book.granted(grant, zone.now()))
      zone.commit()
    },
    restart: () => {
      book = restart()
    },
    book: () => book,
    numbers: () => Object.fromEntries(book.numbers()),
  }
  return zone
}

test('N10 a zone names nothing before its global has granted numbers, and waits again when all of them are used', () => {
  const zone = createGrantedZone()
  zone.commit(announced('a', 'a'), announced('b', 'b'))
  expect(zone.numbers()).toEqual({})
  expect(zone.request()).toEqual({ below: 0, count: 512 })
  zone.grant(1)
  expect(zone.numbers()).toEqual({ 'default/a': 0 })
  expect(zone.book().isWaiting()).toBe(true)
  expect(zone.request()).toEqual({ below: 1, count: 512 })
  zone.grant(513)
  expect(zone.numbers()).toEqual({ 'default/a': 0, 'default/b': 1 })
  expect(zone.book().isShort(zone.now())).toBe(false)
  expect(zone.request()).toEqual({ below: 513, count: 0 })
  zone.restart()
  zone.commit(announced('c', 'c'))
  expect(zone.numbers()).toEqual({ 'default/a': 0, 'default/b': 1, 'default/c': 2 })
})

test('N10 more numbers are asked for when fewer than 128 are left', () => {
  const zone = createGrantedZone()
  zone.grant(512)
  const services = Array.from({ length: 385 }, (_, index) => announced(`s${index}`, `s${index}`))
  zone.commit(...services.slice(0, 384))
  expect(zone.book().isShort(zone.now())).toBe(false)
  zone.commit(...services.slice(384))
  expect(zone.request()).toEqual({ below: 512, count: 512 })
})

test('N10 a second grant adds numbers and closes none, and the same grant again writes nothing', () => {
  const zone = createGrantedZone()
  const grant = { below: 512, before: 0, recalled: undefined, isOlderCopy: false }
  zone.grant(512)
  expect(zone.book().granted(grant, zone.now())).toEqual([])
  expect(zone.book().granted({ ...grant, below: 1_024, before: 512 }, zone.now())).toEqual([
    put(zoned('east', 'VirtualAddressReserve', 'numbers', ''), { incarnation: 1, below: 1_024, before: 0 }),
  ])
  zone.incarnation = 2
  zone.grant(1_024, 512)
  expect(zone.book().granted({ ...grant, below: 1_536 }, zone.now())).toEqual([
    put(zoned('east', 'VirtualAddressReserve', 'numbers', ''), { incarnation: 2, below: 1_536, before: 512 }),
  ])
})

test('N10 a service that leaves before numbers are granted gets none, and nothing is written in the meantime', () => {
  const zone = createGrantedZone()
  const granted = (below: number) =>
    zone.book().granted({ below, before: 0, recalled: undefined, isOlderCopy: false }, zone.now())
  zone.grant(1)
  zone.commit(announced('a', 'a'), announced('b', 'b'))
  zone.commit(...granted(512))
  zone.commit(remove(zoned('west', 'AvailableService', 'b')))
  expect(zone.numbers()).toEqual({ 'default/a': 0 })
  zone.commit(remove(zoned('west', 'AvailableService', 'a')))
  // The released service returns to another incarnation, which may not write, and leaves again after the grant.
  zone.incarnation = 2
  expect(zone.book().preview([announced('a', 'a')], zone.now())).toEqual([])
  zone.commit(announced('a', 'a'))
  expect(zone.book().isWaiting()).toBe(true)
  zone.commit(...granted(1_024))
  const leaves = [remove(zoned('west', 'AvailableService', 'a'))]
  expect(zone.book().preview(leaves, zone.now())).toEqual([])
  zone.commit(...leaves)
  expect(zone.book().isWaiting()).toBe(false)
})

test('N10 another incarnation writes no rows of names before its grant, also no releases', () => {
  const zone = createGrantedZone()
  zone.grant(512)
  zone.commit(announced('a', 'a'))
  zone.incarnation = 2
  expect(zone.book().preview([remove(zoned('west', 'AvailableService', 'a'))], zone.now())).toEqual([])
})

test('N10 closed numbers count as numbers that are left only after the quarantine', () => {
  const zone = createGrantedZone()
  zone.nowMs = 50
  zone.grant(128, 64)
  zone.nowMs = 149
  expect([zone.book().isShort(zone.now()), zone.book().hasExpired(149)]).toEqual([true, false])
  zone.nowMs = 150
  expect([zone.book().isShort(zone.now()), zone.book().hasExpired(150)]).toEqual([false, true])
  zone.commit()
  expect([zone.book().isShort(zone.now()), zone.book().hasExpired(150)]).toEqual([false, false])
})

test('G9 a single closed number is closed for the quarantine as well', () => {
  const zone = createGrantedZone()
  zone.commit(announced('a', 'a'))
  zone.grant(512, 1)
  expect(zone.numbers()).toEqual({ 'default/a': 1 })
  zone.nowMs = 100
  zone.commit(announced('b', 'b'))
  expect(zone.numbers()).toEqual({ 'default/a': 1, 'default/b': 0 })
})

test('G9 a store without a reserve takes the numbers that the global remembers, also in place of its own', () => {
  const fresh = createGrantedZone()
  fresh.grant(512, 0, { 'default/a': 3 })
  expect(fresh.numbers()).toEqual({ 'default/a': 3 })

  const former = createGrantedZone()
  const held = (service: string, number: number) => [
    put(zoned('east', 'VirtualAddress', service), { number }),
    put(zoned('east', 'VirtualAddressNumber', String(number), ''), { mesh: 'default', service }),
  ]
  former.commit(announced('a', 'a'), announced('b', 'b'), ...held('a', 0), ...held('b', 1))
  expect(former.numbers()).toEqual({ 'default/a': 0, 'default/b': 1 })
  former.grant(20, 10, { 'default/b': 1 })
  expect(former.numbers()).toEqual({ 'default/a': 10, 'default/b': 1 })
})

test('G9 another incarnation uses no number of the former one within the quarantine, but for services that the global remembers', () => {
  const zone = createGrantedZone()
  zone.incarnation = 2
  zone.commit(announced('a', 'a'), announced('b', 'b'))
  zone.grant(20, 10, { 'default/b': 7, 'default/gone': 8 })
  expect(zone.numbers()).toEqual({ 'default/a': 10, 'default/b': 7, 'default/gone': 8 })
  zone.nowMs = 99
  zone.commit(announced('c', 'c'))
  expect(zone.numbers()['default/c']).toBe(11)
  // A restart begins the quarantine again; its clock begins at 0.
  zone.restart()
  zone.nowMs = 99
  zone.commit(announced('d', 'd'))
  expect(zone.numbers()['default/d']).toBe(12)
  zone.nowMs = 100
  expect(zone.book().hasExpired(100)).toBe(true)
  zone.commit(announced('e', 'e'))
  expect(zone.numbers()['default/e']).toBe(0)
  // The service that no row names any more was released in the meantime, so its number is free as well.
  expect(zone.numbers()['default/gone']).toBeUndefined()
  expect(zone.book().hasExpired(100)).toBe(false)
})

test('G9 a zone with an older copy of its store drops a number that the copy and the global give to different services: both may have answered', () => {
  const zone = createGrantedZone()
  zone.grant(1_024)
  zone.commit(announced('a', 'a'), announced('b', 'b'))
  zone.incarnation = 2
  zone.restart()
  expect(zone.request()).toEqual({ below: 0, count: 512 })
  zone.grant(2_048, 1_024, { 'default/c': 0, 'default/b': 1, 'default/d': 2 }, true)
  expect(zone.numbers()).toEqual({ 'default/a': 1_024, 'default/b': 1, 'default/d': 2 })
  zone.commit(announced('c', 'c'))
  expect(zone.numbers()).toEqual({ 'default/a': 1_024, 'default/b': 1, 'default/c': 1_025, 'default/d': 2 })
})

test('N10 a store that lost nothing itself keeps its numbers in another incarnation', () => {
  const zone = createGrantedZone()
  zone.grant(1_024)
  zone.commit(announced('a', 'a'))
  zone.incarnation = 2
  zone.commit(announced('b', 'b'))
  zone.grant(2_048, 1_024, { 'default/c': 0 })
  expect(zone.numbers()).toEqual({ 'default/a': 0, 'default/b': 1_024 })
})

test('N10 a grant withdraws a number of a former build that no service needs, in one commit without a second version', () => {
  const rows = createRows()
  const old = createAddressBook({ zone: 'east' })
  const now = { wallMs: 0, monotonicMs: 0, incarnation: 2 }
  const source = announced('a', 'a')
  rows.commit([source, ...old.preview([source], now)])
  // The source has gone without its derived rows.
  rows.commit([{ op: 'delete', key: source.key }])
  const book = createAddressBook({ zone: 'east', isGranted: true })
  book.applied(rows.versions(), 0)
  const changes = book.granted({ below: 1_024, before: 512, recalled: undefined, isOlderCopy: false }, now)
  const all = [...changes, ...book.preview(changes, now)]
  expect(all.map(({ op, key }) => `${op} ${key.kind} ${key.name}`)).toEqual([
    'put VirtualAddressReserve numbers',
    'delete VirtualAddress a',
    'delete VirtualAddressNumber 0',
  ])
})

test('N10 a store of a former build, and a global of a former build, limit no numbers', () => {
  const rows = createRows()
  const old = createAddressBook({ zone: 'east' })
  const now = { wallMs: 0, monotonicMs: 0, incarnation: 1 }
  const changes = [announced('a', 'a')]
  rows.commit([...changes, ...old.preview(changes, now)])
  const book = createAddressBook({ zone: 'east', isGranted: true })
  book.applied(rows.versions(), 0)
  expect(book.request(now)).toEqual({ below: 1, count: 512 })
  expect(book.isShort(now)).toBe(true)
  expect(book.preview([announced('b', 'b')], now)).not.toEqual([])
  book.applied(rows.commit(book.granted({ below: 1_025, before: 0, recalled: undefined, isOlderCopy: false }, now)), 0)
  expect(Object.fromEntries(book.numbers())).toEqual({ 'default/a': 0 })

  const fresh = createAddressBook({ zone: 'east', isGranted: true })
  expect(fresh.granted(undefined, now)).toEqual([])
  expect(fresh.preview([announced('b', 'b')], now)).not.toEqual([])
  expect(fresh.isShort(now)).toBe(false)
})
