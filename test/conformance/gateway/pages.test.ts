import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { until } from '../../e2e/rig.ts'
import { ask, askStream } from './ask.ts'
import { mesh } from './documents.ts'
import { type Seen, startHttp, startTcp } from './echo.ts'
import { type Scene, startScene } from './scene.ts'

// The pages on gateways that users start from, block by block as printed, with a request behind each sentence that can be tested.

const local = '127.0.0.1'
const second = '127.0.0.2'
const printed = (name: string): JsonObject[] =>
  parseAllDocuments(readFileSync(join(import.meta.dirname, '../documents', name), 'utf8')).map(
    (document) => document.toJS() as JsonObject, // universal YAML
  )
const demoApp = { service: 'demo-app_kuma-demo_svc_5000', zone: 'west', version: '1' }
const redis = { service: 'redis_kuma-demo_svc_6379', zone: 'west', version: '1' }

let scene: Scene
const seen: Seen[] = []
const closing: { close(): unknown }[] = []
beforeAll(async () => {
  scene = await startScene([])
  const [app = 0, appPort = 0, store = 0, storePort = 0] = await freePorts(systemRandom, 4)
  closing.push(await startHttp(demoApp, appPort, (one) => seen.push(one)), await startTcp(redis, storePort))
  const inbound = [
    { port: app, servicePort: appPort, tags: { 'kuma.io/service': demoApp.service, 'kuma.io/protocol': 'http' } },
    { port: store, servicePort: storePort, tags: { 'kuma.io/service': redis.service, 'kuma.io/protocol': 'tcp' } },
  ].map((one) => ({ ...one, serviceAddress: local }))
  await scene.startProxy('west', {
    type: 'Dataplane',
    mesh,
    name: 'demo-app',
    networking: { address: local, inbound },
  })
  const [gateway] = printed('builtin-dataplane.yaml')
  if (gateway) await scene.startProxy('east', gateway)
}, 180_000)
afterAll(async () => {
  for (const one of closing) one.close()
  await scene?.[Symbol.asyncDispose]()
})

const put = async (documents: readonly JsonObject[]) => {
  const reply = await scene.global.need('POST', '/_commit', { documents, atomic: true, intent: 'a page' })
  expect(reply.json).not.toMatchObject({ outcomes: expect.arrayContaining([{ outcome: 'refused' }]) })
}
const get = (host: string, path: string, address = local) =>
  ask({ host: address, port: 8080, method: 'GET', path, headers: { host } })

test('PG1 "creates a listener on port 8080 and will accept any traffic which has the Host header set to foo.example.com"', async () => {
  await put(printed('http-gateway.yaml'))
  const answer = await until(
    'the listener answers',
    () => get('foo.example.com', '/'),
    ({ status }) => status === 404,
  )
  expect(answer.body).toBe('This is a Kuma MeshGateway. No routes match this MeshGateway!\n')
})

test('PG2 "define a MeshGatewayRoute to forward your traffic based on the matched URL path"', async () => {
  await put(printed('http-route.yaml'))
  const answer = await until(
    'the route is served',
    () => get('foo.example.com', '/any/path?x=1'),
    ({ status }) => status === 200,
  )
  expect(JSON.parse(answer.body)).toMatchObject({ ...demoApp, path: '/any/path?x=1', host: 'foo.example.com' })
  expect((await get('bar.example.com', '/')).status).toBe(404)
  expect((await get('foo.example.com:8080', '/')).status).toBe(200)
})

test('PG3 the same blocks in the Kubernetes form are accepted with the same meaning', async () => {
  await put(printed('kubernetes-gateway-and-route.yaml'))
  expect((await get('foo.example.com', '/')).status).toBe(200)
  const { json } = await scene.global.need('GET', `/meshes/${mesh}/meshgatewayroutes/edge-gateway-route`)
  expect(json).toMatchObject({ conf: printed('http-route.yaml')[0]?.['conf'] })
})

test('PG4 "synced across zones": a second instance in the other zone serves the same gateway', async () => {
  const [gateway] = printed('builtin-dataplane.yaml')
  await scene.startProxy('west', {
    ...gateway,
    name: 'gateway-instance-2',
    networking: { ...(gateway?.['networking'] as JsonObject), address: second },
  })
  await until(
    'the second instance answers',
    () => get('foo.example.com', '/', second),
    ({ status }) => status === 200,
  )
})

test('PG5 "A builtin gateway Dataplane does not have either inbound or outbound configuration"', async () => {
  const [gateway] = printed('builtin-dataplane.yaml')
  const networking = gateway?.['networking'] as JsonObject // as printed
  for (const [field, value] of Object.entries({
    inbound: [{ port: 80, tags: { 'kuma.io/service': 'a' } }],
    outbound: [{ port: 80, tags: { 'kuma.io/service': 'a' } }],
  })) {
    const document = { ...gateway, name: 'wrong', networking: { ...networking, [field]: value } }
    const reply = await scene.global.call('POST', '/_commit', { documents: [document], atomic: true, intent: 'wrong' })
    expect(reply.text).toContain(`${field} cannot be defined for builtin gateways`)
  }
})

test('PG6 "The builtin gateway also supports TCP MeshGatewayRoutes": tags with slashes, backends, no filters', async () => {
  await put(printed('tcp-gateway-and-route.yaml'))
  const { answer } = await until(
    'redis answers',
    () => askStream(8080, undefined),
    ({ answer: one }) => typeof one === 'object',
  )
  expect(answer).toEqual(redis)
  const [, route] = printed('tcp-gateway-and-route.yaml')
  const rules = [{ matches: [{ path: { value: '/' } }], backends: [{ destination: { 'kuma.io/service': 'a' } }] }]
  const reply = await scene.global.call('POST', '/_commit', {
    documents: [{ ...route, conf: { tcp: { rules } } }],
    atomic: true,
    intent: 'wrong',
  })
  expect(reply.text).toContain('conf.tcp.rules[0].matches')
})
