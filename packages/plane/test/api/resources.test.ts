import { findKind } from '@zonemesh/core/registry.ts'
import { hashedName } from '@zonemesh/plane/api/names.ts'
import type { ApiPlane } from '@zonemesh/plane/api/plane.ts'
import { allRows, committed, completeSpec, ifMatch, isWritable, rowsOf } from '@zonemesh/plane/api/resources.ts'
import { createMemorySealer } from '@zonemesh/plane/authority/seal.ts'
import { assert, type JsonObject } from '@zonemesh/shared/base/base.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import { positionText, type Store } from '@zonemesh/shared/store/store.ts'
import { expect, test } from 'vitest'
import { createPair } from '../pki.ts'
import { createPlane, createRoutes, dataplane, timeout, write } from './routes.ts'

function kindOf(name: string) {
  const kind = findKind(name)
  assert(kind, `there is no ${name}`)
  return kind
}
const east = { role: 'zone', origin: 'east' } as const
const row = (name: string, more: object = {}) => ({ origin: 'global', kind: 'Timeout', mesh: 'default', name, ...more })
const violationsOf = ({ json }: { json: { invalid_parameters?: { field: string; reason: string }[] } }) =>
  (json.invalid_parameters ?? []).map(({ field, reason }) => `${field}: ${reason}`)

test('R9 rows are listed by mesh, name and origin, also if they fill more than one page', async () => {
  const plane = await createPlane()
  const numbers = Array.from({ length: 1000 }, (_, index) => `n${String(index).padStart(4, '0')}`)
  await write(plane, [
    ...numbers.map((name) => row(name, { mesh: 'm' })),
    row('b'),
    row('a', { origin: 'west' }),
    row('a', { origin: 'east' }),
    row('a', { mesh: 'z', origin: 'east' }),
  ])
  const rows = await allRows(plane, { kind: 'Timeout' })
  expect(rows).toHaveLength(1004)
  expect(rows.slice(0, 4).map(({ key }) => `${key.mesh}/${key.name}/${key.origin}`)).toEqual([
    'default/a/east',
    'default/a/west',
    'default/b/global',
    'm/n0000/global',
  ])
  expect(rows.at(-1)?.key.mesh).toBe('z')
})

test('R41 a row of another plane is found by its hashed name, or by its plain name if no other row has it', async () => {
  const { plane, call } = await createRoutes()
  const long = 'l'.repeat(240)
  const at = (name: string, origin: string) => ({ origin, kind: 'Dataplane', mesh: 'default', name })
  await write(plane, [at('web', 'east'), at('web', 'west'), at('solo', 'east'), at('own', 'global')])
  await write(plane, [at('own', 'east'), at(long, 'east'), at(`${long}-2`, 'east')])
  const zoneOf = async (name: string) => {
    const { status, json } = await call('GET', `/meshes/default/dataplanes/${name}`)
    return status === 200 ? (json.labels?.['kuma.io/zone'] ?? 'none') : [status, json.detail]
  }
  expect(await zoneOf(hashedName('default', 'web', ['east']))).toBe('east')
  expect(await zoneOf(hashedName('default', 'web', ['west']))).toBe('west')
  expect(await zoneOf(hashedName('default', 'web', ['north']))).toEqual([404, 'Not found'])
  expect(await zoneOf('solo')).toBe('east')
  // The plain name of an own row means this row.
  expect(await zoneOf('own')).toBe('none')
  const names = ['east', 'west'].map((zone) => hashedName('default', 'web', [zone])).join(', ')
  expect(await zoneOf('web')).toEqual([409, `2 resources have the name "web": use one of ${names}`])
  // A long name is cut before its hash.
  const { json } = await call('GET', `/meshes/default/dataplanes/${hashedName('default', `${long}-2`, ['east'])}`)
  expect(json.labels['kuma.io/display-name']).toBe(`${long}-2`)
  expect(await zoneOf(hashedName('default', long, ['east']))).toBe('east')
})

test('R41 a Mesh of the global has its own name in a zone, and is a mesh of requests there', async () => {
  const { plane, call } = await createRoutes(east)
  expect(await call('GET', '/meshes/default')).toMatchObject({ status: 200, json: { name: 'default' } })
  expect((await call('GET', '/meshes/default/dataplanes')).status).toBe(200)
  // The Mesh of the global is meant, even if another zone once wrote one.
  await write(plane, [{ origin: 'a-zone', kind: 'Mesh', mesh: '', name: 'default' }, row('t')])
  const found = (await call('GET', '/meshes/default')).json
  expect([found.name, found.labels]).toEqual(['default', undefined])
  // Other kinds have a hashed name.
  const [item] = (await call('GET', '/meshes/default/timeouts')).json.items
  expect(item.name).toBe(hashedName('default', 't', []))
  expect(item.labels).toEqual({ 'kuma.io/display-name': 't', 'kuma.io/origin': 'global' })
})

test.each<[ApiPlane['role'], string, boolean]>([
  ['global', 'Timeout', true],
  ['global', 'Dataplane', false],
  ['zone', 'Timeout', false],
  ['zone', 'Dataplane', true],
  ['standalone', 'Timeout', true],
  ['standalone', 'Dataplane', true],
])('R8 a plane writes the kinds of its role: %s, %s', async (role, kind, expected) => {
  expect(isWritable(await createPlane({ role }), kindOf(kind))).toBe(expected)
})

test('R8 a write or a deletion that belongs to another plane is refused with the address of this plane', async () => {
  const zone = await createRoutes(east)
  const refusal = { status: 405, json: { title: 'Method not allowed' } }
  expect(await zone.call('PUT', '/meshes/default/timeouts/t', timeout('t'))).toMatchObject({
    ...refusal,
    json: {
      detail: expect.stringMatching(/belong to the global control plane: write them to its API \(https:\/\/global/),
    },
  })
  await write(zone.plane, [row('t')])
  expect(await zone.call('DELETE', `/meshes/default/timeouts/${hashedName('default', 't', [])}`)).toMatchObject({
    ...refusal,
    json: {
      detail: expect.stringMatching(/delete them at the API of the global control plane \(https:\/\/global:5682\)$/),
    },
  })
  const global = await createRoutes()
  await write(global.plane, [{ origin: 'east', kind: 'Dataplane', mesh: 'default', name: 'web' }])
  expect(await global.call('DELETE', '/meshes/default/dataplanes/web')).toMatchObject({
    ...refusal,
    json: { detail: expect.stringMatching(/delete them on the control plane of their zone$/) },
  })
})

test('R8 an own kind with a row of another plane is deleted on that plane', async () => {
  const { plane, call } = await createRoutes({ role: 'standalone', origin: 'east' })
  await write(plane, [row('t'), { origin: 'west', kind: 'Dataplane', mesh: 'default', name: 'web' }])
  for (const [path, owner] of [
    ['/meshes/default', 'the global control plane (https://global:5682)'],
    ['/meshes/default/dataplanes/web', 'zone "west"'],
  ])
    expect(await call('DELETE', path ?? '')).toMatchObject({
      status: 405,
      json: { detail: expect.stringContaining(`belongs to ${owner}: delete it there`) },
    })
})

test.each<[string, object, object, JsonObject]>([
  ['a policy of the global', {}, timeout('t'), { 'kuma.io/mesh': 'default' }],
  [
    'a Dataplane of a zone',
    east,
    dataplane('t'),
    {
      'kuma.io/mesh': 'default',
      'kuma.io/origin': 'zone',
      'kuma.io/zone': 'east',
      'kuma.io/env': 'universal',
      'kuma.io/proxy-type': 'sidecar',
    },
  ],
  [
    'an egress of a zone',
    east,
    { type: 'ZoneEgress', name: 't', networking: { address: '10.0.0.1', port: 10_002 } },
    {
      'kuma.io/origin': 'zone',
      'kuma.io/zone': 'east',
      'kuma.io/env': 'universal',
      'kuma.io/proxy-type': 'zoneegress',
    },
  ],
  ['a Mesh', {}, { type: 'Mesh', name: 't' }, {}],
  [
    'a policy of a standalone zone',
    { role: 'standalone', origin: 'east' },
    { ...timeout('t'), mesh: 'own' },
    { 'kuma.io/mesh': 'own' },
  ],
])('R42 a plane adds the labels that follow from kind and origin: %s', async (_title, changes, document, expected) => {
  const { plane, call } = await createRoutes(changes)
  await write(plane, [{ origin: plane.origin, kind: 'Mesh', mesh: '', name: 'own' }])
  const answer = await call('POST', '/_commit', { documents: [document] })
  expect(answer.json.outcomes).toMatchObject([{ outcome: 'created' }])
  const { type } = document as { type: string } // each document has a type
  const rows = await plane.store.scan({ kind: type, origin: plane.origin })
  expect(rows.find(({ key }) => key.name === 't')?.labels).toEqual(expected)
})

test.each<[string, object, object, string[]]>([
  [
    'another mesh',
    {},
    { ...timeout('t'), labels: { 'kuma.io/mesh': 'other' } },
    ['labels["kuma.io/mesh"]: must be "default" here, found "other"'],
  ],
  [
    'another origin',
    {},
    { ...timeout('t'), labels: { 'kuma.io/origin': 'zone' } },
    ['labels["kuma.io/origin"]: must be "global" here, found "zone"'],
  ],
  [
    'another zone',
    east,
    { ...dataplane('t'), labels: { 'kuma.io/zone': 'west' } },
    ['labels["kuma.io/zone"]: must be "east" here, found "west"'],
  ],
  [
    'another display name',
    {},
    { ...timeout('t'), labels: { 'kuma.io/display-name': 'u' } },
    ['labels["kuma.io/display-name"]: must be the name, "t"'],
  ],
  ['a mesh of a kind without one', {}, { type: 'Zone', name: 't', enabled: true, labels: { 'kuma.io/mesh': 'm' } }, []],
  [
    'the computed values',
    {},
    {
      ...timeout('t'),
      labels: { 'kuma.io/mesh': 'default', 'kuma.io/origin': 'global', 'kuma.io/display-name': 't', team: 'red' },
    },
    [],
  ],
])('R42 given labels must agree with the computed ones: %s', async (_title, changes, document, expected) => {
  const { call } = await createRoutes(changes)
  const { outcomes } = (await call('POST', '/_commit', { documents: [document] })).json
  expect(outcomes[0].outcome).toBe(expected.length === 0 ? 'created' : 'refused')
  const violations: { field: string; reason: string }[] = outcomes[0].violations ?? []
  expect(violations.map(({ field, reason }) => `${field}: ${reason}`)).toEqual(expected)
})

test('R42 the zone is a tag of every inbound and of the gateway of a stored Dataplane', () => {
  const plane = { ...east, sealer: createMemorySealer() }
  const completed = (networking: JsonObject | undefined) =>
    completeSpec(plane, kindOf('Dataplane'), networking === undefined ? {} : { networking })['networking']
  expect(completed(undefined)).toEqual({})
  expect(completed({ address: 'a' })).toEqual({ address: 'a' })
  const inbound = [{ port: 80, tags: { a: '1', 'kuma.io/zone': 'west' } }, { port: 81 }]
  expect(completed({ inbound })).toEqual({
    inbound: [
      { port: 80, tags: { a: '1', 'kuma.io/zone': 'east' } },
      { port: 81, tags: { 'kuma.io/zone': 'east' } },
    ],
  })
  expect(completed({ gateway: { type: 'BUILTIN', tags: { a: '1' } } })).toEqual({
    gateway: { type: 'BUILTIN', tags: { a: '1', 'kuma.io/zone': 'east' } },
  })
})

test('R42 a zone proxy is stored with its zone and without composed services, a secret only sealed, and others as given', () => {
  const sealer = createMemorySealer()
  const complete = (kind: string, spec: JsonObject) => completeSpec({ ...east, sealer }, kindOf(kind), spec)
  expect(complete('ZoneIngress', { networking: {}, availableServices: [] })).toEqual({ networking: {}, zone: 'east' })
  expect(complete('ZoneEgress', { zone: 'west' })).toEqual({ zone: 'east' })
  for (const kind of ['Secret', 'GlobalSecret']) {
    const { sealed, ...rest } = complete(kind, { data: 'eA==' })
    expect([sealer.open(String(sealed)), rest]).toEqual(['eA==', {}])
  }
  const spec = { conf: {} }
  expect(complete('Timeout', spec)).toBe(spec)
})

test('R5 If-Match takes a strong or weak tag of this store, and no other text', async () => {
  const plane = await createPlane()
  const position = await plane.store.head()
  const text = positionText(position)
  expect(ifMatch(plane, undefined)).toBeUndefined()
  for (const header of [`"${text}"`, `W/"${text}"`, text])
    expect(ifMatch(plane, header)).toEqual({ revision: position.revision })
  for (const header of ['"x"', '*', `"other@1.0123456789abcdef"`])
    expect(() => ifMatch(plane, header)).toThrow(`If-Match ${header} is not a revision of this store`)
})

test('R5 a commit that is refused names each resource and the revision that it has', () => {
  const key = (name: string) => ({ origin: 'global', kind: 'Timeout', mesh: 'default', name })
  const conflicts = [
    { key: key('a'), expected: { revision: 1 }, found: 2 },
    { key: key('b'), expected: { revision: 1 }, found: undefined },
  ]
  const detail = 'Timeout "a" is at revision 2; Timeout "b" is at revision none (absent)'
  expect(() => committed({ ok: false, conflicts })).toThrow(
    expect.objectContaining({ status: 412, title: 'Precondition failed', message: detail }),
  )
})

test('R43 a mesh with Dataplanes and a Zone with a session are not deleted', async () => {
  const online = new Set(['east'])
  const { plane, call } = await createRoutes({ isZoneOnline: (zone) => online.has(zone) })
  await write(plane, [
    { origin: 'global', kind: 'Mesh', mesh: '', name: 'other' },
    { origin: 'east', kind: 'Dataplane', mesh: 'default', name: 'web' },
    { origin: 'global', kind: 'Zone', mesh: '', name: 'east', spec: { enabled: false } },
    { origin: 'global', kind: 'Zone', mesh: '', name: 'west', spec: { enabled: false } },
  ])
  const attached = 'mesh: unable to delete mesh, there are still 1 dataplanes attached'
  const connected = 'zone: unable to delete Zone, Zone CP is still connected, please shut it down first'
  for (const [path, expected] of [
    ['/meshes/default', [400, attached]],
    ['/zones/east', [400, connected]],
    ['/meshes/other', [200]],
    ['/zones/west', [200]],
  ] as const) {
    const answer = await call('DELETE', path)
    expect([answer.status, ...violationsOf(answer)]).toEqual(expected)
  }
})

test('R33 a name of a Mesh or a Zone is a DNS label, or gets a warning', async () => {
  const { call } = await createRoutes()
  const warningsOf = async (type: string, name: string) => {
    const { json } = await call('POST', '/_commit', { documents: [{ ...timeout(name), type, name }] })
    return json.outcomes[0].warnings
  }
  const warningOf = async (name: string) =>
    (await call('POST', '/_commit', { documents: [{ type: 'Mesh', name }] })).json.outcomes[0].warnings
  for (const name of ['a', 'ab', 'a-1', 'a'.repeat(63)])
    expect([name, await warningOf(name)]).toEqual([name, undefined])
  for (const name of ['1a', 'a.b'])
    expect(await warningOf(name)).toEqual([expect.stringContaining(`name: "${name}" is not a DNS label`)])
  expect(await warningsOf('Timeout', '1a')).toBeUndefined()
})

test('R6 a refused document has the title of its step: unknown type, invalid, creation or update', async () => {
  const { call } = await createRoutes()
  const put = (document: object) => call('PUT', '/meshes/default/timeouts/t', document)
  const wrong = { ...timeout('t'), labels: { 'kuma.io/mesh': 'other' } }
  const titleOf = async (document: object) => (await put(document)).json.title
  expect(await titleOf({ ...timeout('t'), conf: 5 })).toBe('Could not process a resource')
  expect(await titleOf(wrong)).toBe('Failed to create a resource')
  expect((await put(timeout('t'))).status).toBe(201)
  expect(await titleOf(wrong)).toBe('Failed to update a resource')
  const { outcomes } = (await call('POST', '/_commit', { documents: [{ type: 'Nothing', name: 't' }] })).json
  expect(outcomes[0].violations[0].field).toBe('type')
})

test('R10 a caller that is no administrator neither writes a resource nor reads a secret', async () => {
  const { call } = await createRoutes()
  const user = { name: 'ada', groups: ['team'] }
  const put = await call('PUT', '/meshes/default/timeouts/t', timeout('t'), { user })
  expect([put.status, put.json.detail]).toEqual([403, 'user "ada/team" cannot write the resource of type "Timeout"'])
  for (const path of ['/meshes/default/secrets', '/secrets', '/meshes/default/secrets/s', '/global-secrets/s'])
    expect((await call('GET', path, undefined, { user })).json.detail).toMatch(/^user "ada\/team" cannot access/)
  expect((await call('GET', '/meshes/default/timeouts', undefined, { user })).status).toBe(200)
  const secret = { type: 'Secret', mesh: 'default', name: 's', data: 'eA==' }
  expect((await call('PUT', '/meshes/default/secrets/s', secret, { user })).json.detail).toMatch(/cannot access/)
})

test('R18 a missing secret of an authority is a warning, another fault of it is a violation, and inline keys become secrets of the mesh', async () => {
  const { plane, call } = await createRoutes()
  const put = (key: object) => {
    const conf = { cert: { inlineString: 'no certificate' }, key }
    const mtls = { enabledBackend: 'own', backends: [{ name: 'own', type: 'provided', conf }] }
    return call('PUT', '/meshes/own', { type: 'Mesh', name: 'own', mtls })
  }
  const missing = await put({ secret: 'absent' })
  expect(missing).toMatchObject({ status: 201, json: { warnings: [expect.stringContaining('no Secret "absent"')] } })
  expect(missing.json.warnings[0]).toMatch(/yet; the authority is used when the secret exists$/)
  const { key: inline } = await createPair({ names: ['own'] })
  const wrong = await put({ inlineString: inline })
  expect(violationsOf(wrong)).toEqual([expect.stringMatching(/^mtls\.backends\[0\]\.conf\.cert: not a valid TLS key/)])
  expect(wrong.json.invalid_parameters[0]).not.toHaveProperty('isMissing')
  const conf = { cert: { inlineString: 'x' }, key: { inlineString: inline } }
  const mtls = { skipValidation: true, enabledBackend: 'own', backends: [{ name: 'own', type: 'provided', conf }] }
  expect((await call('PUT', '/meshes/own', { type: 'Mesh', name: 'own', mtls })).status).toBe(200)
  expect((await plane.store.scan({ kind: 'Secret' })).map(({ key }) => key.mesh)).toEqual(['own'])
})

/** A store in which `commit` runs before each read of a row, at most so often. */
function interrupted(
  store: Store,
  times: number,
  commit: () => Promise<unknown>,
): Pick<Store, 'get' | 'head' | 'scan'> {
  let left = times
  return {
    head: () => store.head(),
    scan: (selection, options) => store.scan(selection, options),
    async get(key) {
      if (left > 0) {
        left -= 1
        await commit()
      }
      return store.get(key)
    },
  }
}

test.each([1, 5, 1_000])(
  'R88 a list shows all its rows at one revision, also if %s commits come between its reads',
  async (times) => {
    const store = createMemoryStore({ clock: createVirtualClock(), random: createSeededRandom(1) })
    const keys = ['a', 'b', 'c'].map((name) => ({ origin: 'global', kind: 'Timeout', mesh: 'default', name }))
    let turn = 0
    const writeAll = () => {
      turn += 1
      const changes = keys.map((key) => ({ op: 'put' as const, key, labels: {}, spec: { turn } }))
      return store.commit({ changes, subject: 's', intent: 'i' })
    }
    await writeAll()
    const rows = await rowsOf({ store: interrupted(store, times, writeAll) }, keys)
    expect(rows.map(({ key }) => key.name)).toEqual(['a', 'b', 'c'])
    expect(new Set(rows.map(({ spec }) => spec['turn'])).size).toBe(1)
  },
)

test('R88 a row that is removed while its list is read is in it or not, with all others of its commit', async () => {
  const store = createMemoryStore({ clock: createVirtualClock(), random: createSeededRandom(1) })
  const keys = ['a', 'b'].map((name) => ({ origin: 'global', kind: 'Timeout', mesh: 'default', name }))
  const changes = keys.map((key) => ({ op: 'put' as const, key, labels: {}, spec: {} }))
  await store.commit({ changes, subject: 's', intent: 'i' })
  const removeAll = () =>
    store.commit({ changes: keys.map((key) => ({ op: 'delete' as const, key })), subject: 's', intent: 'i' })
  let reads = 0
  const between = interrupted(store, 2, async () => {
    reads += 1
    if (reads === 2) await removeAll()
  })
  expect(await rowsOf({ store: between }, keys)).toEqual([])
})
