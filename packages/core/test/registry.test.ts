import { expect, test } from 'vitest'
import { dataplane } from '../src/kinds/dataplane.ts'
import { mesh } from '../src/kinds/mesh.ts'
import { providedSources } from '../src/kinds/mesh-spec.ts'
import { specOf } from '../src/kinds/row.ts'
import { parseRow } from '../src/parse.ts'
import { compiledKinds, explainedKinds, kinds } from '../src/registry.ts'
import { createUnits } from '../src/view/units.ts'
import { createView } from '../src/view/view.ts'
import { poisons } from './compile/poison.ts'
import { createScene } from './compile/scene.ts'

const row = (kind: string, spec: unknown) => {
  const { row: found } = createScene().put({ origin: 'global', kind, mesh: 'default', name: 'one' }, spec)
  if (!found) throw new Error('a row was put')
  return found
}

test('C3 a view keeps rows only of the kinds that declare what the compiler needs', () => {
  const scene = createScene()
  const view = createView(createUnits(), 'east')
  const keys = kinds.map(({ name, scope }) => ({
    origin: 'east',
    kind: name,
    mesh: scope === 'mesh' ? 'default' : '',
    name: 'one',
  }))
  view.apply(keys.map((key) => scene.put(key, {})))
  const kept = keys.filter(({ kind, mesh: at }) => view.stored(`east/${kind}/${at}/one`)).map(({ kind }) => kind)
  expect(kept).toEqual(compiledKinds.map(({ name }) => name))
  expect(kept.length).toBe(14)
  expect(explainedKinds).toEqual([...kept, 'AuthorityCertificate', 'Quarantine', 'Refusal'].sort())
})

test('C3 every compiled kind has its own rank among suspects, and only a Mesh is required', () => {
  const places = compiledKinds.map(({ compiled }) => compiled.blame)
  expect(new Set(places).size).toBe(places.length)
  expect(compiledKinds.filter(({ compiled }) => compiled.needed).map(({ name }) => name)).toEqual(['Mesh'])
  const zoned = compiledKinds.filter(({ compiled }) => compiled.owner === 'zone').map(({ name }) => name)
  expect(zoned).toEqual(['ZoneIngress', 'ZoneEgress', 'Dataplane', 'AvailableService'])
})

test('C3 no internal kind that contains a key is explained or compiled', () => {
  const secret = kinds
    .filter(({ adminOnly, name }) => adminOnly && name !== 'GatewayCertificate')
    .map(({ name }) => name)
  expect(secret.filter((name) => explainedKinds.includes(name))).toEqual([])
})

test('C1 parsing accepts unknown fields at every depth and leaves stored resources unchanged', () => {
  const stored = {
    networking: {
      address: '10.0.0.1',
      inbound: [{ port: 80, tags: { 'kuma.io/service': 'web' }, state: 'Ready' }],
      gateway: { type: 'BUILTIN', tags: { 'kuma.io/service': 'edge' } },
    },
  }
  expect(specOf(dataplane, row('Dataplane', stored))).toEqual(stored)
  const newer = {
    ...stored,
    later: { deep: 1 },
    networking: { ...stored.networking, inbound: [{ ...stored.networking.inbound[0], weight: 3 }] },
  }
  expect(specOf(dataplane, row('Dataplane', newer))).toEqual(stored)
})

test('C1 a union keeps the branch that knows the fields: a provided authority keeps its sources', () => {
  const conf = { cert: { secret: 'ca' }, key: { secret: 'ca-key' } }
  const spec = specOf(mesh, row('Mesh', { mtls: { backends: [{ name: 'ca', type: 'provided', conf, later: 1 }] } }))
  const [backend] = spec?.mtls?.backends ?? []
  expect(backend && providedSources(backend)).toEqual(conf)
})

test('F24 no bad row makes the parser throw', () => {
  for (const { key, spec } of poisons) expect(() => parseRow({ ...row(key.kind, spec), key })).not.toThrow()
})
