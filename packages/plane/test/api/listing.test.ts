import { expect, test } from 'vitest'
import { createRoutes, write } from './routes.ts'

const row = (name: string, spec: object, origin = 'global', mesh = 'default') => ({
  origin,
  kind: 'Dataplane',
  mesh,
  name,
  spec: { ...spec },
})
const inbound = (tags: object) => ({ networking: { address: '10.0.0.1', inbound: [{ port: 80, tags }] } })
const gateway = (type: string, tags: object = { 'kuma.io/service': 'edge' }) => ({
  networking: { address: '10.0.0.1', gateway: { type, tags } },
})

test('R9 a page has 100 items by default and at most 1,000, and next is null on the last page', async () => {
  const api = await createRoutes()
  const keys = Array.from({ length: 1001 }, (_, index) => row(`d${String(index).padStart(4, '0')}`, {}))
  await write(api.plane, keys)
  const list = async (query: string) => {
    const { status, json } = await api.call('GET', `/meshes/default/dataplanes${query}`)
    expect(status).toBe(200)
    return json
  }
  const at = `http://plane:5681/meshes/default/dataplanes`
  expect(await list('')).toMatchObject({ total: 1001, next: `${at}?offset=100&size=100` })
  expect((await list('')).items).toHaveLength(100)
  expect((await list('?size=1000')).items).toHaveLength(1000)
  expect(await list('?size=1&offset=999')).toMatchObject({
    items: [{ name: 'd0999' }],
    next: `${at}?offset=1000&size=1`,
  })
  expect(await list('?size=1&offset=1000')).toMatchObject({ items: [{ name: 'd1000' }], next: null })
  // The offset of a request is not part of its next page.
  expect(await list('?offset=5000')).toMatchObject({ total: 1001, items: [], next: null })
  // A filter is part of the next page, and the pages of a filtered list have the same limits.
  const filtered = await list('?size=2&name=d000')
  expect(filtered).toMatchObject({ total: 10, next: `${at}?name=d000&offset=2&size=2` })
  expect((await list('?size=2&name=d000&offset=8')).items.map(({ name }: { name: string }) => name)).toEqual([
    'd0008',
    'd0009',
  ])
})

test('R9 a list of all meshes contains the rows of every mesh, and a list of an absent mesh is refused', async () => {
  const api = await createRoutes()
  await write(api.plane, [row('a', {}), row('b', {}, 'global', 'other')])
  const names = async (path: string) =>
    (await api.call('GET', path)).json.items.map(({ name }: { name: string }) => name)
  expect(await names('/dataplanes')).toEqual(['a', 'b'])
  expect(await names('/dataplanes?name=')).toEqual(['a', 'b'])
  expect(await names('/meshes/default/dataplanes')).toEqual(['a'])
  expect(await names('/meshes/default/dataplanes?name=')).toEqual(['a'])
  for (const path of ['/meshes/other/dataplanes', '/meshes/other/dataplanes/_overview'])
    expect(await api.call('GET', path)).toMatchObject({ status: 404, json: { title: 'Failed to retrieve Mesh' } })
})

const namesByQuery: Readonly<Record<string, readonly string[]>> = {
  'tag=kuma.io/service:web': ['web', 'web-v2'],
  // A value matches as a substring, and "*" matches every value.
  'tag=kuma.io/service:e': ['builtin', 'delegated', 'web', 'web-v2'],
  'tag=version:*': ['web-v2'],
  // Both pairs must be tags of the same inbound. A value may contain a colon.
  'tag=kuma.io/service:web&tag=version:a:2': ['web-v2'],
  'tag=kuma.io/service:web&tag=version:a:3': [],
  'tag=kuma.io/service:web&tag=team:red': [],
  'gateway=true': ['builtin', 'delegated'],
  'gateway=false': ['broken', 'two', 'web', 'web-v2'],
  'gateway=builtin': ['builtin'],
  'gateway=delegated': ['delegated'],
  'gateway=true&tag=kuma.io/service:shop': ['delegated'],
  'name=web': ['web', 'web-v2'],
  'name=web&tag=version:*': ['web-v2'],
}

test('R35 a list of Dataplanes is filtered by name, tag and gateway', async () => {
  const api = await createRoutes()
  await write(api.plane, [
    row('web', inbound({ 'kuma.io/service': 'web' })),
    row('web-v2', inbound({ 'kuma.io/service': 'web', version: 'a:2' })),
    row('two', {
      networking: {
        address: '10.0.0.1',
        inbound: [
          { port: 80, tags: { 'kuma.io/service': 'api' } },
          { port: 81, tags: { 'kuma.io/service': 'db', team: 'red' } },
        ],
      },
    }),
    row('builtin', gateway('BUILTIN')),
    row('delegated', gateway('DELEGATED', { 'kuma.io/service': 'edge-shop' })),
    // A row that cannot be parsed has neither tags nor a role.
    row('broken', { networking: 5 }),
  ])
  for (const [query, expected] of Object.entries(namesByQuery)) {
    const { json } = await api.call('GET', `/meshes/default/dataplanes?${query}`)
    expect([query, ...json.items.map(({ name }: { name: string }) => name)]).toEqual([query, ...expected])
  }
})

test('R35 another value of gateway is refused, and other kinds ignore tag and gateway', async () => {
  const api = await createRoutes()
  await write(api.plane, [row('web', inbound({ 'kuma.io/service': 'web' }))])
  expect((await api.call('GET', '/dataplanes?gateway=maybe')).json).toMatchObject({
    status: 400,
    detail: 'bad request: gateway must be one of true, false, builtin, delegated',
  })
  expect((await api.call('GET', '/meshes?gateway=maybe&tag=a:b')).json.total).toBe(1)
})

test('R35 a filter sees the labels and the name that the list shows', async () => {
  const api = await createRoutes()
  await write(api.plane, [row('web', {}, 'east'), row('web', {}, 'west'), row('own', {})])
  const zones = async (query: string) =>
    (await api.call('GET', `/dataplanes?${query}`)).json.items.map(
      ({ labels }: { labels?: Record<string, string> }) => labels?.['kuma.io/zone'],
    )
  expect(await zones('filter[labels.kuma.io/zone]=east')).toEqual(['east'])
  expect(await zones('filter[labels.kuma.io/zone]=east&filter[labels.kuma.io/origin]=global')).toEqual([])
  expect(await zones('name=own')).toEqual([undefined])
  expect(await zones('name=web-')).toEqual(['east', 'west'])
})

test('R9 a size of 1,001 and an offset that is no number are refused with 400', async () => {
  const api = await createRoutes()
  for (const [query, detail] of [
    ['size=1001', 'Invalid page size'],
    ['size=0', 'Invalid page size'],
    ['offset=-1', 'invalid: invalid offset: -1'],
  ])
    expect((await api.call('GET', `/meshes?${query}`)).json).toMatchObject({ status: 400, detail })
})
