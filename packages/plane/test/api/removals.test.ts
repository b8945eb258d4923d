import { declaration, massRemovals, rowsInMesh } from '@zonemesh/plane/api/removals.ts'
import type { Change } from '@zonemesh/shared/store/store.ts'
import { expect, test } from 'vitest'
import { createRoutes, timeout, write } from './routes.ts'

const key = (kind: string, name: string, mesh = 'default') => ({ origin: 'global', kind, mesh, name })
const keys = (count: number, kind = 'Timeout', mesh = 'default') =>
  Array.from({ length: count }, (_, index) => key(kind, `t${String(index).padStart(2, '0')}`, mesh))
const deletions = (count: number, kind = 'Timeout'): Change[] =>
  keys(count, kind).map((one) => ({ op: 'delete', key: one }))
const services = (zone: string, count: number) =>
  keys(count, 'AvailableService').map((one) => ({
    ...{ ...one, origin: zone },
    spec: { tags: { 'kuma.io/service': one.name, 'kuma.io/zone': zone }, instances: 1 },
  }))

test('R22 more than 10 removals of one kind are a mass removal if they are more than 30 % of it', () => {
  const found = (changes: readonly Change[], total: number) => massRemovals(changes, new Map([['Timeout', total]]))
  expect(found(deletions(10), 10)).toEqual([])
  expect(found(deletions(11), 11)).toEqual([{ kind: 'Timeout', removed: 11, total: 11 }])
  expect(found(deletions(12), 40)).toEqual([])
  expect(found(deletions(13), 40)).toEqual([{ kind: 'Timeout', removed: 13, total: 40 }])
  // Writes do not count, and rows of internal kinds do not either.
  const writes = keys(13).map((one): Change => ({ op: 'put', key: one, labels: {}, spec: {} }))
  expect(found(writes, 13)).toEqual([])
  expect(massRemovals(deletions(13, 'MeshRoot'), new Map([['MeshRoot', 13]]))).toEqual([])
  const both = [...deletions(11, 'Timeout'), ...deletions(11, 'Retry')]
  expect(massRemovals(both, new Map()).map(({ kind }) => kind)).toEqual(['Retry', 'Timeout'])
})

test('R22 a commit is declared if its caller confirms it, or if it removes more than 10 internal rows of one kind', () => {
  expect(declaration([], false)).toEqual({})
  expect(declaration([], true)).toEqual({ declared: true })
  expect(declaration(deletions(11), false)).toEqual({})
  expect(declaration(deletions(10, 'MeshRoot'), false)).toEqual({})
  expect(declaration(deletions(11, 'MeshRoot'), false)).toEqual({ declared: true })
  // A kind that this version does not know is not internal.
  expect(declaration(deletions(11, 'Unknown'), false)).toEqual({})
})

test('R22 a mesh is deleted with its own rows, but its virtual addresses stay', async () => {
  const { plane, call } = await createRoutes()
  await write(plane, [
    key('Mesh', 'other', ''),
    key('Timeout', 'in', 'other'),
    key('VirtualAddress', 'web', 'other'),
    key('Timeout', 'out', 'default'),
    { ...key('Timeout', 'foreign', 'other'), origin: 'east' },
    { ...key('Dataplane', 'in', 'third') },
  ])
  expect((await rowsInMesh(plane, 'other')).map((row) => row.key.name)).toEqual(['in'])
  // Rows of global scope are in no mesh.
  expect(await rowsInMesh(plane, '')).toMatchObject([
    { key: { kind: 'Mesh', name: 'default' } },
    { key: { name: 'other' } },
  ])
  expect((await call('DELETE', '/meshes/other')).status).toBe(200)
  const left = await plane.store.scan({ mesh: 'other' })
  expect(left.map((row) => row.key.name).sort()).toEqual(['foreign', 'web'])
  expect(await plane.store.scan({ mesh: 'default' })).toHaveLength(1)
})

test('R22 only rows of this plane are the total of a kind', async () => {
  const { plane, call } = await createRoutes()
  await write(plane, keys(12))
  await write(
    plane,
    keys(40).map((one) => ({ ...one, origin: 'east' })),
  )
  const answer = await call('POST', '/_commit', {
    documents: [],
    deletions: keys(12).map(({ kind, name }) => ({ type: kind, name })),
  })
  expect(answer.json.detail).toMatch(/^this commit removes 12 of 12 Timeout, more than 30 % and more than 10; nothing/)
})

test.each<[string, string, unknown, number]>([
  ['nothing', '', undefined, 409],
  ['a query', '?declared=true', undefined, 200],
  ['another value in the query', '?declared=yes', undefined, 409],
  ['the body', '', { declared: true }, 200],
  ['a text in the body', '', { declared: 'true' }, 409],
  ['an empty body', '', null, 409],
])(
  'R22 a caller confirms a mass removal by ?declared=true or by "declared": true: %s',
  async (_title, query, body, status) => {
    const { plane, call } = await createRoutes()
    await write(plane, [key('Mesh', 'other', ''), ...keys(11, 'Timeout', 'other')])
    const answer = await call('DELETE', `/meshes/other${query}`, body)
    expect(answer.status).toBe(status)
    expect((await plane.store.scan({ kind: 'Timeout' })).length).toBe(status === 200 ? 0 : 11)
    if (status === 409) {
      // The list contains the kind that is too many, and no others.
      expect(answer.json.invalid_parameters).toHaveLength(11)
      expect(answer.json.invalid_parameters[0]).toEqual({ field: 'Timeout other/t00', reason: 'would be removed' })
    }
  },
)

test.each<[string, object, number, number, number]>([
  ['most services of an enabled Zone', { enabled: true }, 11, 10, 409],
  ['a Zone is enabled by default', {}, 11, 10, 409],
  ['few services', { enabled: true }, 10, 10, 200],
  ['a small share', { enabled: true }, 12, 28, 200],
  ['a disabled Zone', { enabled: false }, 11, 10, 200],
  ['a Zone that cannot be parsed', { enabled: 'yes' }, 11, 10, 200],
])(
  'R22 the services that a Zone announces count when it is deleted: %s',
  async (_title, spec, count, others, status) => {
    const { plane, call } = await createRoutes()
    await write(plane, [
      { ...key('Zone', 'east', ''), spec: { ...spec } },
      key('Zone', 'west', ''),
      ...services('east', count),
      ...services('west', others),
    ])
    const answer = await call('DELETE', '/zones/east')
    expect(answer.status).toBe(status)
    if (status === 409)
      expect(answer.json.detail).toMatch(`removes ${count} of ${count + others} announced services, more than 30 %`)
  },
)

test('R22 a rollback names the field without a mesh for rows of global scope, and sums its mass removals', async () => {
  const { plane, call } = await createRoutes()
  const { revision } = await plane.store.head()
  const documents = keys(12).map(({ name }) => timeout(name))
  expect((await call('POST', '/_commit', { documents })).status).toBe(200)
  const retry = (name: string) => ({
    ...{ type: 'Retry', mesh: 'default', name },
    sources: [{ match: { 'kuma.io/service': '*' } }],
    destinations: [{ match: { 'kuma.io/service': '*' } }],
    conf: { http: { numRetries: 1 } },
  })
  expect((await call('POST', '/_commit', { documents: keys(11).map(({ name }) => retry(name)) })).status).toBe(200)
  await write(plane, [key('Mesh', 'other', '')])
  const back = (more: object) => call('POST', '/_rollback', { to: `@${revision}`, ...more })
  const refused = await back({})
  expect(refused.status).toBe(409)
  expect(refused.json.detail).toMatch(/^this commit removes 11 of 11 Retry and 12 of 12 Timeout, .*removals 23$/)
  expect(refused.json.invalid_parameters).toHaveLength(23)
  expect((await back({ dryRun: true })).json.confirmRemovals).toBe(23)
  expect((await back({ confirmRemovals: 22 })).json.detail).toMatch(/\(found 22\)$/)
  expect((await back({ confirmRemovals: 23 })).status).toBe(200)
})

test('R22 a rollback of a few removals and one without any need no confirmation, and a wrong number of none is ignored', async () => {
  const { plane, call } = await createRoutes()
  const { revision } = await plane.store.head()
  await call('POST', '/_commit', { documents: keys(2).map(({ name }) => timeout(name)) })
  const back = (more: object = {}) => call('POST', '/_rollback', { to: `@${revision}`, ...more })
  expect((await back({ dryRun: true })).json).not.toHaveProperty('confirmRemovals')
  expect((await back({ confirmRemovals: 7 })).status).toBe(200)
  expect((await back()).status).toBe(200)
})

test('R22 a Zone that is written does not count as deleted', async () => {
  const { plane, call } = await createRoutes()
  await write(plane, [
    key('Zone', 'east', ''),
    key('Timeout', 'east'),
    ...services('east', 11),
    ...services('west', 10),
  ])
  const documents = [{ type: 'Zone', name: 'east', enabled: true }]
  const deletions = [{ type: 'Timeout', name: 'east' }]
  expect((await call('POST', '/_commit', { documents, deletions })).status).toBe(200)
})
