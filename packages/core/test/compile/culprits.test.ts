import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createCompiler } from '../../src/compile/compiler.ts'
import { findCulprits } from '../../src/compile/culprits.ts'
import { createScene, global, mtlsMesh, twoZones, zoned } from './scene.ts'

const gateway = 'east/Dataplane/default/edge-gateway-1'
const sidecar = 'east/Dataplane/default/client-1'
const facts = { part: 3, canBindPort80: true }

/** A compiler with a bug in every unit that reads one of these rows. */
function compilerWithBug(...poisonous: readonly string[]) {
  let crashes = 0
  const compiler = createCompiler({
    zone: 'east',
    faultPoint(_unit, reads) {
      const met = reads.find((one) => poisonous.includes(one))
      if (met === undefined) return
      crashes += 1
      throw new Error(`cannot read ${met}`)
    },
  })
  return { compiler, crashes: () => crashes }
}

const heldOf = (compiler: ReturnType<typeof createCompiler>) =>
  compiler.drainHeld().rows.map(({ row: { key } }) => `${key.kind}/${key.name}`)

test('F25 the search finds exactly the rows at fault, in a logarithmic number of attempts', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.uniqueArray(fc.nat(39), { maxLength: 3 }), (size, at) => {
      const suspects = Array.from({ length: size }, (_unused, index) => `s${index}`)
      const guilty = [...new Set(at.map((index) => `s${index % size}`))]
      const found = findCulprits(suspects, (left) => guilty.every((one) => left.includes(one)))
      expect([...found].sort()).toEqual((guilty.length > 0 ? guilty : ['s0']).sort())
    }),
  )
  let tries = 0
  const many = Array.from({ length: 10_000 }, (_unused, index) => `s${index}`)
  const found = findCulprits(many, (left) => {
    tries += 1
    return left.includes('s7777')
  })
  expect(found).toEqual(['s7777'])
  expect(tries).toBeLessThan(64)
})

test('F25 no row is blamed for a failure that no row causes', () => {
  expect(findCulprits(['a', 'b', 'c'], () => false)).toEqual([])
  const compiler = createCompiler({
    zone: 'east',
    faultPoint: () => {
      throw new Error('always')
    },
  })
  const scene = createScene()
  compiler.apply(twoZones(scene), scene.revision)
  expect(() => compiler.table(sidecar, facts)).toThrow('always')
})

test('F25 each row of a scene in turn crashes the compiler: only this row is held back, and all other tables are complete', () => {
  const names = twoZones(createScene()).map(({ key }) => `${key.origin}/${key.kind}/${key.mesh}/${key.name}`)
  let blamed = 0
  for (const name of names) {
    const { compiler } = compilerWithBug(name)
    const scene = createScene()
    compiler.apply(twoZones(scene), scene.revision)
    const tables = [gateway, sidecar].map((proxy) => compiler.table(proxy, facts))
    const held = compiler
      .drainHeld()
      .rows.map(({ row: { key } }) => `${key.origin}/${key.kind}/${key.mesh}/${key.name}`)
    expect([[], [name]]).toContainEqual(held)
    blamed += held.length
    // The result is the same as without the row. A Mesh decides about encryption, so without it there is no table.
    const plain = createCompiler({ zone: 'east' })
    const without = createScene()
    const versions = twoZones(without).filter(({ key }) => `${key.origin}/${key.kind}/${key.mesh}/${key.name}` !== name)
    plain.apply(held.length > 0 ? versions : twoZones(without), without.revision)
    const expected = [gateway, sidecar].map((proxy) => plain.table(proxy, facts))
    const versionsOf = (table: (typeof tables)[number]) =>
      [...(table?.resources.values() ?? [])].flatMap((resources) => [...resources.values()].map((one) => one.version))
    if (name.includes('/Mesh/')) expect(tables).toEqual([undefined, undefined])
    else expect(tables.map(versionsOf)).toEqual(expected.map(versionsOf))
  }
  expect(blamed).toBeGreaterThan(8)
})

test('F25 among the rows that a failing unit reads, the most recently written row is blamed', () => {
  const scene = createScene()
  let isBroken = false
  const compiler = createCompiler({
    zone: 'east',
    faultPoint(unit, reads) {
      // A bug that needs two rows: leaving out either one avoids it.
      const meets = (name: string) => reads.includes(`global/MeshTrafficPermission/default/${name}`)
      if (isBroken && unit.startsWith('permissions') && meets('old') && meets('new')) throw new Error('both')
    },
  })
  const permission = { from: [{ targetRef: { kind: 'Mesh' }, default: { action: 'Allow' } }] }
  compiler.apply([...twoZones(scene), scene.put(global('MeshTrafficPermission', 'old'), permission)], scene.revision)
  compiler.table(sidecar, facts)
  isBroken = true
  compiler.apply([scene.put(global('MeshTrafficPermission', 'new'), permission)], scene.revision)
  compiler.table(sidecar, facts)
  expect(heldOf(compiler)).toEqual(['MeshTrafficPermission/new'])
})

test('F25 a version that is held back is never read again, even if it arrives later, and the next version counts', () => {
  const name = 'global/MeshGatewayRoute/default/root'
  const { compiler, crashes } = compilerWithBug(name)
  const scene = createScene()
  const versions = twoZones(scene)
  const route = versions.find(({ key }) => key.kind === 'MeshGatewayRoute')
  compiler.hold(name, `1.${route?.stamp.originRevision}`)
  compiler.apply(versions, scene.revision)
  expect(compiler.table(gateway, facts)?.problems).toEqual([])
  expect([crashes(), heldOf(compiler)]).toEqual([0, []])
  compiler.apply([scene.put(global('MeshGatewayRoute', 'root'), route?.row?.spec)], scene.revision)
  compiler.table(gateway, facts)
  expect(crashes()).toBeGreaterThan(0)
  expect(heldOf(compiler)).toEqual(['MeshGatewayRoute/root'])
})

test('F25 a row that cannot be indexed is held back, and the rest of its commit is applied', () => {
  const compiler = createCompiler({
    zone: 'east',
    faultPoint(unit) {
      if (unit === 'index global/MeshGatewayRoute/default/root') throw new Error('cannot index')
    },
  })
  const scene = createScene()
  compiler.apply(twoZones(scene), scene.revision)
  expect(heldOf(compiler)).toEqual(['MeshGatewayRoute/root'])
  expect(compiler.table(gateway, facts)?.resources.size).toBeGreaterThan(0)
})

test('F25 a Mesh that is held back is never treated as a Mesh without mutual TLS', () => {
  const scene = createScene()
  const compiler = createCompiler({ zone: 'east' })
  compiler.apply(twoZones(scene), scene.revision)
  expect(compiler.table(sidecar, facts)?.secretNeeds.length).toBe(2)
  compiler.apply([scene.put(global('Mesh', 'default', ''), { mtls: 5 })], scene.revision)
  expect(heldOf(compiler)).toEqual(['Mesh/default'])
  expect(compiler.table(sidecar, facts)).toBeUndefined()
  const touched = compiler.apply([scene.put(global('Mesh', 'default', ''), mtlsMesh())], scene.revision)
  expect(touched).toContain(sidecar)
  expect(compiler.table(sidecar, facts)?.secretNeeds.length).toBe(2)
})

test('F25 a row of the global that is held back does not hide the row of the zone with the same name', () => {
  const scene = createScene()
  const compiler = createCompiler({ zone: 'east' })
  const timeout = (seconds: unknown) => ({
    sources: [{ match: { 'kuma.io/service': '*' } }],
    destinations: [{ match: { 'kuma.io/service': '*' } }],
    conf: { connectTimeout: seconds },
  })
  const own = scene.put(zoned('east', 'Timeout', 'all'), timeout('3s'))
  compiler.apply([...twoZones(scene), own], scene.revision)
  const before = compiler.table(gateway, facts)
  compiler.apply([scene.put(global('Timeout', 'all'), timeout('9s'))], scene.revision)
  expect(compiler.table(gateway, facts)).not.toBe(before)
  compiler.apply([scene.put(global('Timeout', 'all'), timeout(['9s']))], scene.revision)
  const versionsOf = (table: typeof before) =>
    [...(table?.resources.values() ?? [])].flatMap((resources) => [...resources.values()].map((one) => one.version))
  expect(versionsOf(compiler.table(gateway, facts))).toEqual(versionsOf(before))
})
