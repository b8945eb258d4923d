import { parseTarget } from '@zonemesh/plane/api/history-query.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { HorizonError } from '@zonemesh/shared/store/errors.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import { positionText } from '@zonemesh/shared/store/store.ts'
import { expect, test } from 'vitest'
import { createRoutes, timeout, write } from './routes.ts'

const user = { name: 'ada', groups: [] }
const key = (kind: string, mesh: string, name: string, origin = 'global') => ({ origin, kind, mesh, name })

/** A plane whose timeouts and other resources are written in one commit each. */
async function scene(changes: Parameters<typeof createRoutes>[0] = {}) {
  const { plane, call } = await createRoutes(changes)
  return {
    plane,
    call,
    async put(name: string, connect = '1s', mesh = 'default'): Promise<string> {
      const answer = await call('PUT', `/meshes/${mesh}/timeouts/${name}`, timeout(name, connect, mesh))
      expect(answer.status).toBeLessThan(300)
      return `@${(await plane.store.head()).revision}`
    },
    connectOf: async (name: string) =>
      (await call('GET', `/meshes/default/timeouts/${name}`)).json.conf?.connectTimeout,
  }
}
const namesOf = (items: readonly { name: string }[]) => items.map(({ name }) => name)
const commitsOf = ({ json }: { json: { items: { resources: { name: string }[] }[] } }) =>
  json.items.map(({ resources }) => namesOf(resources))

test('H3 a target is a resource, a kind, a mesh, or everything, and an empty text is no limit', () => {
  const shown = (given: Parameters<typeof parseTarget>[0]) => {
    const { kind, name, mesh } = parseTarget(given)
    return [kind?.name, name, mesh]
  }
  expect(shown({})).toEqual([undefined, undefined, undefined])
  expect(shown({ kind: '', name: '', mesh: '' })).toEqual([undefined, undefined, undefined])
  expect(shown({ mesh: 'm' })).toEqual([undefined, undefined, 'm'])
  expect(shown({ kind: 'timeouts' })).toEqual(['Timeout', undefined, undefined])
  expect(shown({ kind: 'Timeout', mesh: 'm' })).toEqual(['Timeout', undefined, 'm'])
  expect(shown({ kind: 'Timeout', name: 't' })).toEqual(['Timeout', 't', 'default'])
  expect(shown({ kind: 'Timeout', name: 't', mesh: 'm' })).toEqual(['Timeout', 't', 'm'])
  // A kind of global scope is in no mesh.
  expect(shown({ kind: 'Zone', name: 'east', mesh: 'm' })).toEqual(['Zone', 'east', undefined])
  expect(() => parseTarget({ name: 't' })).toThrow('expected kind and name of a resource, found only the name "t"')
  expect(() => parseTarget({ kind: 'Timeoutt' })).toThrow('unknown kind "Timeoutt"; did you mean "Timeout"?')
  expect(() => parseTarget({ kind: 'Wholly-different' })).toThrow(/^unknown kind "Wholly-different"$/)
  for (const kind of ['TokenKey', 'Quarantine']) expect(() => parseTarget({ kind })).toThrow(`unknown kind "${kind}"`)
})

test('H4 commits are limited to a kind, a mesh or a resource, and a Mesh belongs to its own mesh', async () => {
  const { plane, call, put } = await scene()
  await call('PUT', '/meshes/m', { type: 'Mesh', name: 'm' })
  await put('a')
  await put('in', '1s', 'm')
  await write(plane, [key('Zone', '', 'm')])
  const commits = async (query: string) => commitsOf(await call('GET', `/_history?${query}`))
  expect(await commits('kind=Timeout')).toEqual([['in'], ['a']])
  expect(await commits('mesh=m')).toEqual([['in'], ['m']])
  expect(await commits('kind=Mesh&mesh=m')).toEqual([['m']])
  expect(await commits('kind=Mesh')).toEqual([['m'], ['default']])
  expect(await commits('limit=2&kind=Timeout')).toEqual([['in'], ['a']])
  expect(await commits('limit=1')).toEqual([['m']])
})

test('H4 commits of other planes and of the plane itself are listed only with all=true, and only for administrators', async () => {
  const { plane, call } = await scene({ role: 'zone', origin: 'east' })
  await write(plane, [key('Dataplane', 'default', 'own', 'east')])
  await write(plane, [key('Timeout', 'default', 'of-global')])
  await write(plane, [key('Dataplane', 'default', 'foreign', 'west')])
  await write(plane, [key('TokenKey', '', 'k', 'east')])
  await write(plane, [key('Secret', 'default', 's', 'east')])
  const commits = async (query: string, as = {}) => commitsOf(await call('GET', `/_history${query}`, undefined, as))
  expect(await commits('')).toEqual([['s'], ['of-global'], ['own'], ['default']])
  expect(await commits('', { user })).toEqual([['of-global'], ['own'], ['default']])
  expect(await commits('?all=true')).toEqual([['s'], [], ['foreign'], ['of-global'], ['own'], ['default']])
  expect(await commits('?all=yes')).toEqual([['s'], ['of-global'], ['own'], ['default']])
  expect((await call('GET', '/_history?all=true', undefined, { user })).status).toBe(403)
  expect((await call('GET', '/_history?kind=Secret&name=s', undefined, { user })).status).toBe(403)
})

test('H4 a page of the history has 50 commits by default and at most 1,000, and begins below a revision', async () => {
  const { call, put } = await scene()
  for (let index = 0; index < 60; index += 1) await put(`t${index}`)
  const page = async (query: string) => (await call('GET', `/_history?${query}`)).json
  expect((await page('')).items).toHaveLength(50)
  expect((await page('limit=1000')).items).toHaveLength(61)
  expect((await page('before=@3')).items.map(({ short }: { short: string }) => short)).toEqual(['@2', '@1'])
  expect((await page('before=2')).items).toHaveLength(1)
  expect(await page('before=1&limit=1')).toEqual({ items: [], next: null, horizon: '@0' })
  for (const [query, detail] of [
    ['limit=0', 'limit: expected a number from 1 to 1000, found "0"'],
    ['limit=1001', 'limit: expected a number from 1 to 1000, found "1001"'],
    ['limit=1e2', 'limit: expected a number from 1 to 1000, found "1e2"'],
    ['before=@', `before: expected a number from 1 to ${Number.MAX_SAFE_INTEGER}, found "@"`],
  ] as const)
    expect(await page(query)).toMatchObject({ status: 400, detail })
})

test('H2 the history of a resource finds it after its deletion, in its zone, or by its hashed name', async () => {
  const { plane, call, put } = await scene()
  await put('gone')
  await call('DELETE', '/meshes/default/timeouts/gone')
  await write(plane, [key('Zone', '', 'east'), key('Dataplane', 'default', 'web', 'east')])
  const at = { ...key('Dataplane', 'default', 'web', 'east'), stamp: { incarnation: 1, originRevision: 99 } }
  const stamp = { ...at.stamp, createdAtMs: 0, modifiedAtMs: 0 }
  const history = async (query: string) => {
    const { status, json } = await call('GET', `/_history?${query}`)
    expect(status).toBe(200)
    return json
  }
  expect(await history('kind=Dataplane&name=web')).toMatchObject({ zone: 'east', total: 1 })
  const removal = { op: 'delete', key: key('Dataplane', 'default', 'web', 'east'), stamp } as const
  await plane.store.commit({ changes: [removal], subject: 'east', intent: 'sync' })
  expect(await history('kind=Dataplane&name=web')).toMatchObject({ zone: 'east', total: 2 })
  expect(await history('kind=Timeout&name=gone')).toMatchObject({ type: 'Timeout', total: 2, horizon: '@0' })
})

test('H3 an unknown name is refused with its mesh and the nearest known name in it', async () => {
  const { call, put } = await scene()
  await call('PUT', '/meshes/m', { type: 'Mesh', name: 'm' })
  await put('edge', '1s', 'm')
  const detailOf = async (query: string) => (await call('GET', `/_history?${query}`)).json.detail
  const neither = 'neither live nor in the kept history'
  expect(await detailOf('kind=Timeout&name=edgy')).toBe(`there is no Timeout "edgy" in mesh "default", ${neither}`)
  expect(await detailOf('kind=Timeout&name=edgy&mesh=m')).toBe(
    `there is no Timeout "edgy" in mesh "m", ${neither}; did you mean "edge"?`,
  )
  expect(await detailOf('kind=Mesh&name=defaul')).toBe(`there is no Mesh "defaul", ${neither}; did you mean "default"?`)
})

test('H6 @-1 counts versions of a named resource, and otherwise the commits that a request may see', async () => {
  const { plane, call, put } = await scene()
  const first = await put('a', '1s')
  const second = await put('a', '2s')
  await put('b')
  await write(plane, [key('TokenKey', '', 'k')])
  const from = async (query: string) => {
    const { json } = await call('GET', `/_diff?${query}`)
    return json.from ?? json.detail
  }
  expect(await from('from=@-1&kind=Timeout&name=a')).toBe(first)
  expect(await from('from=@-0&kind=Timeout&name=a')).toBe(second)
  expect(await from('from=@-2&kind=Timeout&name=a')).toMatch(/does not reach back so far/)
  // The commit of the internal key does not count.
  expect(await from('from=@-1')).toBe(second)
  expect(await from('from=@-3')).toBe('@1')
  expect(await from('from=@-4')).toMatch(/does not reach back so far/)
  expect(await from('from=@-1&kind=Mesh')).toMatch(/does not reach back so far/)
  expect(await from('')).toBe('from: expected a revision such as @12 or @-1, found none')
})

test('H6 commits are counted back over more than one page of the log', async () => {
  const { plane, call, put } = await scene()
  const old = await put('old')
  for (let index = 0; index < 1005; index += 1)
    await plane.store.commit({
      changes: [{ op: 'put', key: key('TokenKey', '', 'k'), labels: {}, spec: { index } }],
      ...{ subject: 'test', intent: 'test' },
    })
  await put('new')
  expect((await call('GET', '/_diff?from=@-1')).json).toMatchObject({ from: old, total: 1 })
  expect((await call('GET', '/_diff?from=@-2')).json).toMatchObject({ from: '@1', total: 2 })
})

test('H5 a difference shows rows of zones only with all=true, and ends at the head by default', async () => {
  const { plane, call, put } = await scene()
  await put('a')
  await write(plane, [key('Dataplane', 'default', 'web', 'east')])
  const diff = async (query: string) => {
    const { status, json } = await call('GET', `/_diff?from=@1${query}`)
    expect(status).toBe(200)
    return json
  }
  expect(namesOf((await diff('')).items)).toEqual(['a'])
  expect(await diff('&all=true')).toMatchObject({ from: '@1', to: '@3', total: 2 })
  expect(await diff('&all=yes&to=@1')).toMatchObject({ to: '@1', total: 0 })
})

test('H7 the horizon of a short history is stated in its answers', async () => {
  const store = createMemoryStore(
    { clock: createVirtualClock(), random: createSeededRandom(7) },
    { horizonRevisions: 3 },
  )
  const { call, put } = await scene({ store })
  for (let index = 0; index < 200; index += 1) await put('t', `${index + 1}s`)
  const { json } = await call('GET', '/_history?kind=Timeout&name=t')
  expect(Number(json.horizon.slice(1))).toBeGreaterThan(100)
  const gone = (await call('GET', '/_diff?from=@1')).json
  expect([gone.status, gone.title]).toEqual([410, 'Gone'])
  expect(gone.detail).toMatch(`begins at ${json.horizon};`)
  expect((await call('GET', '/_diff?from=@9999')).json.title).toBe('Could not find a revision')
  expect((await call('GET', '/_diff?from=9999')).json.title).toBe('Bad Request')
})

test('H7 a horizon that passes a revision during a request returns 410', async () => {
  const { plane, call } = await scene()
  const failing = (thrown: Error) =>
    scene({ store: { ...plane.store, records: () => Promise.reject(thrown) } }).then((other) =>
      other.call('GET', '/_history'),
    )
  expect((await failing(new HorizonError(3, 12))).json).toMatchObject({
    ...{ status: 410, detail: expect.stringMatching(/^@11 is older than .* begins at @12;/) },
  })
  await expect(failing(new Error('the disk failed'))).rejects.toThrow('the disk failed')
  expect((await call('GET', '/_history')).status).toBe(200)
})

test('H9 a rollback restores the former spec and labels, and reports warnings of admission', async () => {
  const { plane, call, put, connectOf } = await scene()
  await call('PUT', '/meshes/default/timeouts/a', { ...timeout('a', '1s'), labels: { team: 'red' } })
  await call('PUT', '/meshes/1st', { type: 'Mesh', name: '1st' })
  const to = `@${(await plane.store.head()).revision}`
  await put('a', '2s')
  await call('DELETE', '/meshes/1st')
  const answer = await call('POST', '/_rollback', { to })
  expect(answer).toMatchObject({ status: 200, json: { to, dryRun: false, left: [] } })
  const outcome = (name: string) => answer.json.outcomes.find((one: { name: string }) => one.name === name)
  expect(outcome('1st')).toMatchObject({ outcome: 'created', warnings: [expect.stringContaining('DNS label')] })
  expect(outcome('a')).not.toHaveProperty('warnings')
  expect(answer.json).not.toHaveProperty('confirmRemovals')
  expect(answer.headers['Zonemesh-Revision']).toBe(positionText(await plane.store.head()))
  expect(await connectOf('a')).toBe('1s')
  expect((await plane.store.get(key('Timeout', 'default', 'a')))?.row?.labels).toEqual({
    ...{ 'kuma.io/mesh': 'default', team: 'red' },
  })
})

test('H9 a rollback is refused with its reason: on a zone, without a revision, and with an unknown field', async () => {
  const zone = await scene({ role: 'zone', origin: 'east' })
  expect((await zone.call('POST', '/_rollback', { to: '@1' })).json).toMatchObject({
    ...{
      status: 405,
      detail: 'resources belong to the global control plane: roll back at its API (https://global:5682)',
    },
  })
  const { call } = await scene({ role: 'standalone', origin: 'east' })
  const detailOf = async (body: unknown) => (await call('POST', '/_rollback', body)).json.detail
  expect(await detailOf({ to: 1, dryRun: 'no' })).toMatch(/^to: .*; dryRun: /)
  expect(await detailOf({ to: '@1', confirmRemovals: 1.5 })).toMatch(/^confirmRemovals: /)
  expect((await call('POST', '/_rollback', { to: '@1' })).status).toBe(200)
  expect((await call('POST', '/_rollback', { to: '@1' }, { user })).status).toBe(403)
})

test('H12 a rollback leaves Zones and proxies unless it names them, signing keys always, and rows of other planes', async () => {
  const { plane, call } = await scene({ role: 'standalone', origin: 'east' })
  await write(plane, [
    key('Zone', '', 'z', 'east'),
    { ...key('Dataplane', 'default', 'web', 'east'), spec: { networking: { address: '10.0.0.1' } } },
    key('GlobalSecret', '', 'user-token-signing-key-1', 'east'),
    key('GlobalSecret', '', 'other', 'east'),
    key('Timeout', 'default', 'foreign'),
  ])
  const back = async (more: object) => (await call('POST', '/_rollback', { to: '@1', dryRun: true, ...more })).json
  const all = await back({})
  expect(
    all.left.map(({ type, mesh, name }: { type: string; mesh?: string; name: string }) => [type, mesh, name]),
  ).toEqual([
    ['Dataplane', 'default', 'web'],
    ['GlobalSecret', undefined, 'user-token-signing-key-1'],
    ['Zone', undefined, 'z'],
  ])
  expect(all.left.map(({ reason }: { reason: string }) => reason)).toEqual([
    'describes a running proxy: it is rolled back only if the request names it',
    'a signing key of this control plane',
    'a Zone is rolled back only if the request names it',
  ])
  expect(namesOf(all.outcomes)).toEqual(['other'])
  for (const named of [
    { kind: 'Zone', name: 'z' },
    { kind: 'Dataplane', name: 'web' },
  ])
    expect(await back(named)).toMatchObject({ left: [], outcomes: [{ name: named.name, outcome: 'deleted' }] })
})

test('H12 a global leaves rows of kinds that only zones write', async () => {
  const { plane, call } = await scene()
  await write(plane, [key('Dataplane', 'default', 'web')])
  const { json } = await call('POST', '/_rollback', { to: '@1' })
  expect(json).toMatchObject({ left: [{ name: 'web', reason: 'belongs to another control plane' }], outcomes: [] })
})

test('H10 if one resource of a rollback is refused, the others are skipped and nothing is written', async () => {
  const { plane, call, put } = await scene()
  const to = await put('a', '1s')
  await put('a', '2s')
  await write(plane, [key('Mesh', '', 'm'), key('Dataplane', 'm', 'web', 'east')])
  const head = positionText(await plane.store.head())
  const answer = await call('POST', '/_rollback', { to })
  expect(answer).toMatchObject({ status: 400, json: { to, revision: head } })
  expect(answer.json.outcomes).toMatchObject([
    { type: 'Mesh', outcome: 'refused', detail: expect.any(String), violations: [{ field: 'mesh' }] },
    { type: 'Timeout', outcome: 'skipped' },
  ])
  expect(positionText(await plane.store.head())).toBe(head)
})

test('H11 a mesh that a rollback removes is deleted with internal rows in it, each once', async () => {
  const { plane, call, put } = await scene()
  await call('PUT', '/meshes/m', { type: 'Mesh', name: 'm' })
  await put('in', '1s', 'm')
  await write(plane, [key('MeshRoot', 'm', 'root')])
  expect((await call('POST', '/_rollback', { to: '@1' })).status).toBe(200)
  expect(await plane.store.scan({ mesh: 'm' })).toEqual([])
  const [record] = (await plane.store.records({ after: 0, limit: 10 })).slice(-1)
  expect(record).toMatchObject({ rows: 3, intent: 'rollback to @1', subject: 'mesh-system:admin' })
})

test('H9 a rollback has at most 1,000 changes', async () => {
  const { plane, call, put } = await scene()
  const names = Array.from({ length: 1001 }, (_, index) => `t${index}`)
  await write(
    plane,
    names.map((name) => key('Timeout', 'default', name)),
  )
  const back = (to: string) => call('POST', '/_rollback', { to, dryRun: true })
  expect((await back('@1')).json.detail).toBe(
    'the rollback has 1001 changes, more than 1000 in one commit: roll back one kind or mesh at a time',
  )
  await call('DELETE', '/meshes/default/timeouts/t0')
  expect((await back('@1')).status).toBe(200)
  expect(await put('last')).toBe('@5')
})

test('H9 a rollback is refused if a resource is written while it runs', async () => {
  const { plane, call, put } = await scene()
  await put('a', '1s')
  await put('a', '2s')
  const racing = await createRoutes({
    ...plane,
    commit: async (commit) => {
      await write(plane, [{ ...key('Timeout', 'default', 'a'), spec: timeout('a', '3s') }])
      return plane.store.commit(commit)
    },
  })
  expect((await racing.call('POST', '/_rollback', { to: '@-1', kind: 'Timeout', name: 'a' })).status).toBe(412)
  expect((await call('GET', '/_history?kind=Timeout&name=a')).json.total).toBe(3)
})

test('H12 a rollback restores the sealed text of a secret, and shows nothing else of it', async () => {
  const { plane, call } = await scene()
  const secret = (text: string) => ({ type: 'Secret', mesh: 'default', name: 's', data: btoa(text) })
  await call('PUT', '/meshes/default/secrets/s', secret('old'))
  const at = key('Secret', 'default', 's')
  const sealed = (await plane.store.get(at))?.row?.spec
  await call('PUT', '/meshes/default/secrets/s', secret('new'))
  expect((await call('POST', '/_rollback', { to: '@2' })).status).toBe(200)
  expect((await plane.store.get(at))?.row?.spec).toEqual(sealed)
  expect((await call('GET', '/meshes/default/secrets/s')).json.data).toBe(btoa('old'))
})

test('H11 resources of a mesh are restored together with it, and refused without it', async () => {
  const { plane, call, put } = await scene()
  await call('PUT', '/meshes/m', { type: 'Mesh', name: 'm' })
  const to = await put('in', '1s', 'm')
  await call('DELETE', '/meshes/m')
  const alone = await call('POST', '/_rollback', { to, kind: 'Timeout' })
  expect(alone).toMatchObject({ status: 400, json: { outcomes: [{ name: 'in', outcome: 'refused' }] } })
  expect(alone.json.outcomes[0]).not.toHaveProperty('violations')
  expect((await call('POST', '/_rollback', { to })).status).toBe(200)
  expect((await plane.store.scan({ mesh: 'm' })).length).toBe(1)
})

test('H9 a rollback of a name that never existed is refused', async () => {
  const { call, put } = await scene()
  await put('t')
  const back = (name: string) => call('POST', '/_rollback', { to: '@1', kind: 'Timeout', name })
  expect(await back('never')).toMatchObject({ status: 404, json: { title: 'Could not retrieve a history' } })
  expect((await back('t')).json.outcomes).toMatchObject([{ name: 't', outcome: 'deleted' }])
})

test('H9 a rollback is a declared commit, so that zones do not hold it', async () => {
  const { plane, call, put } = await scene()
  await put('t')
  expect((await call('POST', '/_rollback', { to: '@1' })).json.outcomes).toHaveLength(1)
  expect((await plane.store.history(key('Timeout', 'default', 't')))[0]).toMatchObject({
    ...{ state: 'deleted', declared: true },
  })
})
