import { ok, type Result } from '@zonemesh/shared/base/base.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { renderBootstrap } from '@zonemesh/zone/xds/bootstrap.ts'
import {
  type BootstrapRefusal,
  type BootstrapSubject,
  bootstrapRequestSchema,
} from '@zonemesh/zone/xds/bootstrap-request.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Answer, postBootstrap, startZone, type Zone } from './rig.ts'

let zone: Zone
let outcome: () => Result<BootstrapSubject, BootstrapRefusal>
const subject: BootstrapSubject = { service: 'web', isBuiltinGateway: false, address: '10.0.0.7', adminPort: 9901 }

beforeAll(async () => {
  const bootstrap = { log: silentLog, tokenRequired: (type: string) => type !== 'egress', check: async () => outcome() }
  zone = await startZone({ deps: { bootstrap } })
  outcome = () => ok(subject)
})
afterAll(() => zone[Symbol.asyncDispose]())

const body = (change: Record<string, unknown> = {}) => ({
  mesh: 'default',
  name: 'web-1',
  proxyType: 'dataplane',
  dataplaneToken: 'abc ',
  caCert: zone.certificate.certificate,
  workdir: '/run/w',
  version: { kumaDp: { version: '2.14.3' } },
  ...change,
})
const shape = ({ status, body: text }: Answer) => [status, text]

test('BS1 a bootstrap request returns 200 with the bootstrap and the settings that kuma-dp needs', async () => {
  const answer = await postBootstrap(zone, body())
  expect(answer.status).toBe(200)
  expect(answer.headers['content-type']).toBe('application/json')
  const parsed = JSON.parse(answer.body)
  expect(parsed.kumaSidecarConfiguration).toEqual({
    networking: { corefileTemplate: null, address: '10.0.0.7' },
    metrics: { aggregate: [] },
  })
  const envoy = JSON.parse(Buffer.from(parsed.bootstrap, 'base64').toString())
  expect(envoy.node).toMatchObject({ id: 'default.web-1', cluster: 'web' })
  expect(envoy.dynamicResources.adsConfig.grpcServices[0].initialMetadata).toEqual([
    { key: 'authorization', value: 'abc' },
  ])
  expect(envoy.staticResources.clusters.map((cluster: { name: string }) => cluster.name)).toEqual([
    'ads_cluster',
    'access_log_sink',
  ])
})

test('BS1 another Accept header returns the plain YAML', async () => {
  const answer = await postBootstrap(zone, body(), { accept: '*/*' })
  expect([answer.status, answer.headers['content-type']]).toEqual([200, 'text/x-yaml'])
  expect(JSON.parse(answer.body)).toHaveProperty('node.id', 'default.web-1')
})

test('BS2 an unknown path returns 404 with the text of this port', async () => {
  expect(shape(await postBootstrap(zone, body(), { path: '/meshes' }))).toEqual([404, '404 page not found\n'])
})

test('BS2 a body that is not JSON returns 400 with an empty body', async () => {
  expect(shape(await postBootstrap(zone, '{nope'))).toEqual([400, ''])
})

test('BS3 a request with neither the required token nor the path of a token file returns 422', async () => {
  const without = { dataplaneToken: undefined }
  expect((await postBootstrap(zone, body(without))).status).toBe(422)
  expect((await postBootstrap(zone, body({ ...without, dataplaneTokenPath: '/t' }))).status).toBe(200)
  expect((await postBootstrap(zone, body({ ...without, proxyType: 'egress' }))).status).toBe(200)
})

test('BS4 a host that the certificate does not name returns 400 before any lookup', async () => {
  outcome = () => {
    throw new Error('not to be asked')
  }
  const answer = await postBootstrap(zone, body(), { host: 'elsewhere:5678' })
  expect(answer.status).toBe(400)
  expect(answer.body).toContain('"elsewhere"')
  expect((await postBootstrap(zone, body())).status).toBe(500)
  outcome = () => ok(subject)
  expect((await postBootstrap(zone, body(), { host: 'localhost:5678' })).status).toBe(200)
})

test('BS5 refusals of the zone pass through: 404 without a body, 422 with a text', async () => {
  outcome = () => ({ ok: false, error: { status: 404, text: '' } })
  expect(shape(await postBootstrap(zone, body()))).toEqual([404, ''])
  outcome = () => ({ ok: false, error: { status: 422, text: 'mesh "x" does not exist' } })
  expect(shape(await postBootstrap(zone, body()))).toEqual([422, 'mesh "x" does not exist'])
  outcome = () => ok(subject)
})

test('BS2 an invalid CA returns 400', async () => {
  expect((await postBootstrap(zone, body({ caCert: 'nope' }))).status).toBe(400)
})

const request = (change: Record<string, unknown>) =>
  bootstrapRequestSchema.parse({ mesh: 'default', name: 'web-1', ...change })
const target = { host: 'zone.example', port: 5678, authority: 'PEM' }
const render = (change: Record<string, unknown>, about: Partial<BootstrapSubject> = {}) =>
  JSON.parse(renderBootstrap(request(change), { ...subject, ...about }, target))

test('BS6 a builtin gateway gets its runtime layer, and a sidecar does not', () => {
  const names = (envoy: { layeredRuntime: { layers: { name: string }[] } }) =>
    envoy.layeredRuntime.layers.map((layer) => layer.name)
  expect(names(render({}, { isBuiltinGateway: true }))).toEqual(['kuma', 'gateway.listeners'])
  expect(names(render({}))).toEqual(['kuma'])
})

test('BS7 proxies of this project send their facts, need no access log sink, and may request the admin API over TCP', () => {
  const own = render({ workdir: '/w', zonemesh: { part: 7, canBindPort80: true, adminPort: 1234 } })
  expect(own.node.metadata).toMatchObject({ 'zonemesh.part': 7, 'zonemesh.canBindPort80': true })
  expect(own.staticResources.clusters).toHaveLength(1)
  expect(own.admin.address).toEqual({ socketAddress: { address: '127.0.0.1', portValue: 1234 } })
  const pipe = render({ workdir: `/w/${'x'.repeat(100)}` }).admin.address.pipe
  expect([pipe.path.length, pipe.mode]).toEqual([98 + '.sock'.length, 0o600])
})

test('BS8 zone proxies have an empty mesh, and a heap limit adds its overload actions', () => {
  const ingress = render({ mesh: '', name: 'in', proxyType: 'ingress', resources: { maxHeapSizeBytes: 1000 } })
  expect(ingress.node).toMatchObject({ id: '.in', cluster: 'ingress' })
  expect(ingress.overloadManager.actions).toHaveLength(2)
})
