import { concernedRequests } from '@zonemesh/core/explain/concerned.ts'
import { explain } from '@zonemesh/core/explain/explain.ts'
import { expect, test } from 'vitest'
import { healthyMesh, sourcesOf } from './scene.ts'

const shop = 'global/MeshGatewayRoute/default/shop'

/** The requests that these rows concern, as a global knows the zones: without their proxies. */
function requests(rows: Parameters<typeof sourcesOf>[0], ...keys: readonly string[]) {
  const sources = { ...sourcesOf(rows), proxies: new Map(), offline: true }
  return concernedRequests(new Set(keys), sources).map((one) => ({
    ...one,
    mismatch: explain(one.request, one.from, sources).mismatch,
  }))
}

test('Q9 each route that a resource decides yields a request, and all of them reach a service in a healthy mesh', async () => {
  const rows = await healthyMesh()
  const found = requests(rows, shop)
  expect(found.map(({ url, request, from }) => `${from.zone}/${from.gateway} ${request.method} ${url}`)).toEqual([
    'east/gateway-1 POST http://shop.example.com:8080/beta',
    'east/gateway-1 POST http://shop.example.com:8080/beta/',
    'east/gateway-1 GET http://shop.example.com:8080/',
    'east/gateway-1 POST https://shop.example.com:8443/beta',
    'east/gateway-1 POST https://shop.example.com:8443/beta/',
    'east/gateway-1 GET https://shop.example.com:8443/',
  ])
  expect([...(found[0]?.request.headers ?? [])]).toEqual([['x-beta', 'yes']])
  expect(requests(rows, 'global/MeshGatewayRoute/default/raw').map(({ url }) => url)).toEqual([
    'tcp://any.example:9000',
  ])
  expect(requests(rows, 'global/MeshGatewayRoute/default/other')).toEqual([])
})

test('Q9 a route that is served and reaches no service yields a request with the reason', async () => {
  const rows = (await healthyMesh()).filter(({ key }) => key.kind !== 'ZoneIngress' && key.origin !== 'east')
  expect(requests(rows, shop)).toEqual([])
  const withoutIngress = (await healthyMesh()).filter(({ key }) => key.kind !== 'ZoneIngress')
  const onlyFar = withoutIngress.filter(({ key }) => key.name !== 'echo-v1')
  const problems = new Set(requests(onlyFar, shop).map(({ mismatch }) => mismatch?.problem))
  expect(problems).toEqual(new Set(['echo_demo_svc_8080 runs in zone west, which has no ZoneIngress']))
})
