import { err, ok } from '@zonemesh/shared/base/base.ts'
import { expect, test } from 'vitest'
import { adminQueries } from '../src/envoy/admin-queries.ts'

/** A data plane whose Envoy answers with this text, and records the paths. */
function scene(text: string) {
  const paths: string[] = []
  const envoy = {
    admin: async (path: string, method: string) => {
      paths.push(`${method} ${path}`)
      return text
    },
  }
  const handler = adminQueries(() => envoy)['envoy']
  if (!handler) throw new Error('no handler')
  return { paths, ask: (request: Record<string, string | boolean>) => handler(request, new AbortController().signal) }
}

test.each<[Record<string, string | boolean>, string]>([
  [{ view: 'xds' }, '/config_dump'],
  [{ view: 'xds', includeEds: true }, '/config_dump?include_eds'],
  [{ view: 'stats' }, '/stats?usedonly'],
  [{ view: 'stats', json: true, all: true }, '/stats?format=json'],
  [{ view: 'stats', json: true }, '/stats?format=json&usedonly'],
  [{ view: 'clusters' }, '/clusters'],
  [{ view: 'clusters', json: true }, '/clusters?format=json'],
  [{ view: 'listeners', json: true }, '/listeners?format=json'],
])('QX18 the view %o reads %s', async (request, path) => {
  const { ask, paths } = scene('{}')
  expect(await ask(request)).toEqual(ok({ text: '{}' }))
  expect(paths).toEqual([`GET ${path}`])
})

test.each(['/quitquitquit', 'quitquitquit', '', 'toString', 'stats?x'])(
  'QX18 a zone cannot reach another path of the admin interface: %o',
  async (view) => {
    const { ask, paths } = scene('{}')
    expect(await ask({ view })).toMatchObject(err(expect.stringContaining('expected a view of xds, stats')))
    expect(paths).toEqual([])
  },
)

test('QX18 before Envoy runs, the answer is the reason', async () => {
  const handler = adminQueries(() => undefined)['envoy']
  expect(await handler?.({ view: 'stats' }, new AbortController().signal)).toEqual(err('Envoy has not started yet'))
})

test('QX19 the token of the proxy is not in the dump of its Envoy', async () => {
  const service = { initial_metadata: [{ key: 'authorization', value: 'the token' }] }
  const config = { dynamic_resources: { ads_config: { grpc_services: [service] } } }
  const { ask } = scene(JSON.stringify({ configs: [{ bootstrap: config, name: 'x' }] }))
  const answer = await ask({ view: 'xds' })
  const text = answer.ok ? String(answer.value['text']) : ''
  expect(text).not.toContain('the token')
  expect(JSON.parse(text)).toMatchObject({
    configs: [
      {
        name: 'x',
        bootstrap: {
          dynamic_resources: {
            ads_config: { grpc_services: [{ initial_metadata: [{ key: 'authorization', value: '[redacted]' }] }] },
          },
        },
      },
    ],
  })
})
