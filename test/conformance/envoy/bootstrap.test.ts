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

test('200 with the bootstrap and what kuma-dp configures itself with', async () => {
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

test('another accept gets the YAML itself', async () => {
  const answer = await postBootstrap(zone, body(), { accept: '*/*' })
  expect([answer.status, answer.headers['content-type']]).toEqual([200, 'text/x-yaml'])
  expect(JSON.parse(answer.body)).toHaveProperty('node.id', 'default.web-1')
})

test('404 with the text of the port for unknown paths', async () => {
  expect(shape(await postBootstrap(zone, body(), { path: '/meshes' }))).toEqual([404, '404 page not found\n'])
})

test('400 with an empty body for what is not JSON', async () => {
  expect(shape(await postBootstrap(zone, '{nope'))).toEqual([400, ''])
})

test('422 without a token where one is required; a path counts', async () => {
  const without = { dataplaneToken: undefined }
  expect((await postBootstrap(zone, body(without))).status).toBe(422)
  expect((await postBootstrap(zone, body({ ...without, dataplaneTokenPath: '/t' }))).status).toBe(200)
  expect((await postBootstrap(zone, body({ ...without, proxyType: 'egress' }))).status).toBe(200)
})

test('400 for a host that the certificate does not name, before anything is looked up', async () => {
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

test('the zone’s own refusals pass through: 404 empty, 422 with a text', async () => {
  outcome = () => ({ ok: false, error: { status: 404, text: '' } })
  expect(shape(await postBootstrap(zone, body()))).toEqual([404, ''])
  outcome = () => ({ ok: false, error: { status: 422, text: 'mesh "x" does not exist' } })
  expect(shape(await postBootstrap(zone, body()))).toEqual([422, 'mesh "x" does not exist'])
  outcome = () => ok(subject)
})

test('400 for a CA that is none', async () => {
  expect((await postBootstrap(zone, body({ caCert: 'nope' }))).status).toBe(400)
})

const request = (change: Record<string, unknown>) =>
  bootstrapRequestSchema.parse({ mesh: 'default', name: 'web-1', ...change })
const target = { host: 'zone.example', port: 5678, authority: 'PEM' }
const render = (change: Record<string, unknown>, about: Partial<BootstrapSubject> = {}) =>
  JSON.parse(renderBootstrap(request(change), { ...subject, ...about }, target))

test('a builtin gateway gets its runtime layer, a sidecar does not', () => {
  const names = (envoy: { layeredRuntime: { layers: { name: string }[] } }) =>
    envoy.layeredRuntime.layers.map((layer) => layer.name)
  expect(names(render({}, { isBuiltinGateway: true }))).toEqual(['kuma', 'gateway.listeners'])
  expect(names(render({}))).toEqual(['kuma'])
})

test('our own proxies carry their facts, need no access log sink, and may ask for admin over TCP', () => {
  const own = render({ workdir: '/w', zonemesh: { part: 7, canBindPort80: true, adminPort: 1234 } })
  expect(own.node.metadata).toMatchObject({ 'zonemesh.part': 7, 'zonemesh.canBindPort80': true })
  expect(own.staticResources.clusters).toHaveLength(1)
  expect(own.admin.address).toEqual({ socketAddress: { address: '127.0.0.1', portValue: 1234 } })
  const pipe = render({ workdir: `/w/${'x'.repeat(100)}` }).admin.address.pipe
  expect([pipe.path.length, pipe.mode]).toEqual([98 + '.sock'.length, 0o600])
})

test('zone proxies have an empty mesh; a limit for the heap brings its actions', () => {
  const ingress = render({ mesh: '', name: 'in', proxyType: 'ingress', resources: { maxHeapSizeBytes: 1000 } })
  expect(ingress.node).toMatchObject({ id: '.in', cluster: 'ingress' })
  expect(ingress.overloadManager.actions).toHaveLength(2)
})
