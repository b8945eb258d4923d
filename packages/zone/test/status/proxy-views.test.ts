import { create, toBinary } from '@bufbuild/protobuf'
import { type TypeUrl, typeUrls, type XdsResource } from '@zonemesh/core/emit/table.ts'
import { ClusterSchema } from '@zonemesh/core/gen/envoy/config/cluster/v3/cluster_pb.js'
import { err, type JsonObject, ok, type Result } from '@zonemesh/shared/base/base.ts'
import type { QueryFailure } from '@zonemesh/shared/query/query.ts'
import { expect, test } from 'vitest'
import { createProxyViews } from '../../src/status/proxy-views.ts'

const never = new AbortController().signal
const proxy = { type: 'dataplane', mesh: 'default', name: 'web' } as const
const cluster = (name: string, version: string): [string, XdsResource] => [
  name,
  { name, version, bytes: toBinary(ClusterSchema, create(ClusterSchema, { name })) },
]
const secret: [string, XdsResource] = ['key', { name: 'key', version: '1', bytes: Buffer.from('a private key') }]

interface Running {
  readonly accepted?: Record<string, string>
  readonly refused?: Record<string, string>
}

/** The zone east with one proxy, whose clusters Envoy runs or refuses. */
function scene(compiled: readonly [string, XdsResource][], { accepted = {}, refused = {} }: Running = {}) {
  const asked: JsonObject[] = []
  const byType = (texts: Record<string, string>): ReadonlyMap<TypeUrl, ReadonlyMap<string, string>> =>
    new Map([[typeUrls.cluster, new Map(Object.entries(texts))]])
  const resources = new Map<TypeUrl, ReadonlyMap<string, XdsResource>>([
    [typeUrls.cluster, new Map(compiled)],
    [typeUrls.secret, new Map([secret])],
  ])
  const views = createProxyViews({
    zone: 'east',
    engine: { tableOf: (key) => (key === 'east/Dataplane/default/web' ? { mark: 1, resources } : undefined) },
    xds: {
      live: () => [
        {
          proxy,
          facts: { canBindPort80: false },
          accepted: () => new Map([...byType(accepted), [typeUrls.secret, new Map([['key', '1']])]]),
          refused: () => byType(refused),
        },
      ],
      async ask(_proxy, name, request): Promise<Result<JsonObject, QueryFailure>> {
        asked.push({ name, ...request })
        return request['view'] === 'stats' ? ok({ text: 'a: 1' }) : err({ code: 'late', reason: 'no answer' })
      },
    },
  })
  return { asked, view: (request: JsonObject) => views({ ...proxy, ...request }, never) }
}

test('QX20 the configuration of a proxy is shown as compiled, and equals what Envoy has accepted', async () => {
  const { view } = scene([cluster('a', '1')], { accepted: { a: '1' } })
  const answer = await view({ view: 'config' })
  expect(answer).toMatchObject(ok({ differences: [], xds: { [typeUrls.cluster]: { a: { name: 'a' } } } }))
  expect(JSON.stringify(answer)).not.toContain(Buffer.from('a private key').toString('base64').slice(0, 8))
  expect(answer).toMatchObject(ok({ xds: { [typeUrls.secret]: {} } }))
})

test('QX20 what Envoy runs instead is listed: another version, a missing, a surplus and a refused resource', async () => {
  const compiled = [cluster('a', '2'), cluster('b', '1'), cluster('d', '2')]
  const { view } = scene(compiled, { accepted: { a: '1', c: '1', d: '1' }, refused: { d: 'bad port' } })
  const type = typeUrls.cluster
  expect(await view({ view: 'config' })).toMatchObject(
    ok({
      differences: [
        { type, name: 'a', compiled: '2', accepted: '1' },
        { type, name: 'b', compiled: '1' },
        { type, name: 'c', accepted: '1' },
        { type, name: 'd', compiled: '2', accepted: '1', refused: 'bad port' },
      ],
    }),
  )
})

test('QX20 a proxy without a stream has no configuration, and the reason is given', async () => {
  const { view } = scene([])
  expect(await view({ view: 'config', name: 'other' })).toEqual(
    err('dataplane "other" has no Envoy connected to zone "east", so it is not compiled'),
  )
})

test('QX20 other views come from the data plane with their options, and a failure keeps its reason', async () => {
  const { view, asked } = scene([])
  expect(await view({ view: 'stats', json: true })).toEqual(ok({ text: 'a: 1' }))
  expect(await view({ view: 'clusters' })).toEqual(err('no answer'))
  expect(asked).toMatchObject([
    { name: 'envoy', view: 'stats', json: true, all: false },
    { view: 'clusters', json: false },
  ])
})

test('QX20 a request that names no proxy is refused', async () => {
  const { view } = scene([])
  expect(await view({ type: 'other', view: 'stats' })).toMatchObject(err(expect.stringContaining('names no proxy')))
})
