import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { err, ok, type Result } from '@zonemesh/shared/base/base.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { expect, test } from 'vitest'
import { createPair } from '../../../plane/test/pki.ts'
import { answerHttp, type BootstrapConfig, type BootstrapDeps } from '../../src/xds/bootstrap-http.ts'
import type { BootstrapRefusal, BootstrapSubject } from '../../src/xds/bootstrap-request.ts'

const mebibyte = 1024 * 1024
const authority = await createPair({ authority: {} })
const { certificate } = await createPair({ names: ['zone.example', '127.0.0.1', '::1'], issuer: authority })

interface Change {
  readonly config?: Partial<BootstrapConfig>
  readonly check?: Result<BootstrapSubject, BootstrapRefusal>
  readonly tokenRequired?: boolean
  readonly reading?: number
  readonly fails?: boolean
}

/** Answers requests for bootstraps on a plain port. */
async function serve({ config, check, tokenRequired = true, reading = 0, fails }: Change = {}) {
  const logged: unknown[] = []
  const deps: BootstrapDeps = {
    log: { ...silentLog, error: (fields: object) => void logged.push(fields) } as BootstrapDeps['log'],
    tokenRequired: () => tokenRequired,
    async check() {
      if (fails) throw new Error('the store failed')
      return check ?? ok({ isBuiltinGateway: false, address: '10.0.0.1' })
    },
  }
  const bodies = { reading }
  const full = { xdsPort: 5678, certificate, authority: authority.certificate, ...config }
  const server = createServer((incoming, response) => void answerHttp(deps, full, incoming, response, bodies))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo // it listens on a port
  const post = (body: string, headers: Record<string, string | number> = {}, path = '/bootstrap', method = 'POST') => {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string; headers: object }>()
    const options = { port, path, method, agent: false, headers: { host: 'zone.example:5678', ...headers } }
    const sent = request(options, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text, headers: response.headers }))
    })
    sent.on('error', reject)
    sent.end(body)
    return promise
  }
  return {
    bodies,
    logged,
    port,
    post,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const asking = (more: object = {}) => JSON.stringify({ mesh: 'default', name: 'web', dataplaneToken: 't', ...more })

test('P28 a request for a bootstrap is answered as YAML, or as JSON if the proxy accepts it', async () => {
  await using http = await serve()
  const yaml = await http.post(asking())
  expect([yaml.status, yaml.headers]).toMatchObject([200, { 'content-type': 'text/x-yaml' }])
  expect(JSON.parse(yaml.text).node.id).toBe('default.web')
  const json = await http.post(asking(), { accept: 'application/json' })
  expect([json.status, json.headers]).toMatchObject([200, { 'content-type': 'application/json' }])
  const { bootstrap, kumaSidecarConfiguration } = JSON.parse(json.text)
  expect(Buffer.from(bootstrap, 'base64').toString()).toBe(yaml.text)
  expect(kumaSidecarConfiguration.networking).toEqual({ corefileTemplate: null, address: '10.0.0.1' })
  expect(http.bodies.reading).toBe(0)
})

test('P28 other paths return 404, other methods 405, and a body that is no request 400', async () => {
  await using http = await serve()
  const statusOf = async (...given: Parameters<typeof http.post>) => (await http.post(...given)).status
  expect(await statusOf(asking(), {}, '/bootstrap?x=1')).toBe(200)
  expect(await statusOf(asking(), {}, '/bootstraps')).toBe(404)
  expect(await statusOf('', {}, '/bootstrap', 'GET')).toBe(405)
  for (const body of ['', '{', '[]', '{"mesh":5}']) expect(await statusOf(body)).toBe(400)
})

test('P28 a body has at most 1 MiB and no content encoding, and its connection is closed otherwise', async () => {
  await using http = await serve()
  expect((await http.post(asking().padEnd(mebibyte, ' '))).status).toBe(200)
  for (const headers of [{}, { 'transfer-encoding': 'chunked' }]) {
    const large = await http.post(asking().padEnd(mebibyte + 1, ' '), headers)
    expect([large.status, large.headers]).toMatchObject([413, { connection: 'close' }])
  }
  expect((await http.post(asking(), { 'content-encoding': 'identity' })).status).toBe(200)
  const packed = await http.post(asking(), { 'content-encoding': 'gzip' })
  expect([packed.status, packed.text]).toEqual([415, 'expected no Content-Encoding, found gzip\n'])
  expect(http.bodies.reading).toBe(0)
})

test('P28 at most 64 bodies are read at one time', async () => {
  await using free = await serve({ reading: 63 })
  expect((await free.post(asking())).status).toBe(200)
  expect(free.bodies.reading).toBe(63)
  await using full = await serve({ reading: 64 })
  expect(await full.post(asking())).toMatchObject({ status: 503, headers: { connection: 'close' } })
})

test('P28 a proxy without any token is refused if tokens are required', async () => {
  await using http = await serve()
  expect(await http.post(asking({ dataplaneToken: '' }))).toMatchObject({
    ...{ status: 422, text: expect.stringMatching(/^A token is required/) },
  })
  expect((await http.post(asking({ dataplaneToken: '', dataplaneTokenPath: '/t' }))).status).toBe(200)
  await using open = await serve({ tokenRequired: false })
  expect((await open.post(asking({ dataplaneToken: '' }))).status).toBe(200)
})

test('P28 Envoy connects to the host of the request, which the certificate must name, or to the configured host', async () => {
  await using http = await serve()
  const answered = async (at: typeof http, host: string) => {
    const { status, text } = await at.post(asking(), { host })
    if (status !== 200) return [status, text]
    const [cluster] = JSON.parse(text).staticResources.clusters
    return cluster.loadAssignment.endpoints[0].lbEndpoints[0].endpoint.address.socketAddress
  }
  const at = (address: string) => ({ address, portValue: 5678 })
  expect(await answered(http, 'zone.example:1234')).toEqual(at('zone.example'))
  expect(await answered(http, 'zone.example')).toEqual(at('zone.example'))
  expect(await answered(http, '127.0.0.1:5678')).toEqual(at('127.0.0.1'))
  expect(await answered(http, '[::1]:5678')).toEqual(at('::1'))
  expect(await answered(http, '[::1]')).toEqual(at('::1'))
  for (const host of ['other.example:5678', '127.0.0.2', ''])
    expect(await answered(http, host)).toEqual([400, expect.stringContaining('does not name it')])
  await using named = await serve({ config: { xdsHost: 'public.example' } })
  expect(await answered(named, 'other.example')).toEqual(at('public.example'))
})

test('P28 Envoy trusts the authority of the request, or that of the zone, which must be an authority', async () => {
  await using http = await serve()
  const trusted = async (more: object) => {
    const { status, text } = await http.post(asking(more))
    if (status !== 200) return [status, text]
    const [secret] = JSON.parse(text).staticResources.secrets
    return Buffer.from(secret.validationContext.trustedCa.inlineBytes, 'base64').toString()
  }
  const other = await createPair({ authority: {} })
  expect(await trusted({})).toBe(authority.certificate)
  expect(await trusted({ caCert: other.certificate })).toBe(other.certificate)
  expect(await trusted({ caCert: 'x' })).toEqual([400, expect.stringMatching(/^The CA certificate cannot be read: /)])
  expect(await trusted({ caCert: certificate })).toEqual([400, expect.stringContaining('CA:FALSE')])
})

test('P28 a refusal of the zone is passed on, and a failure returns 500 without its text', async () => {
  await using refusing = await serve({ check: err({ status: 404, text: '' }) })
  expect(await refusing.post(asking())).toMatchObject({ status: 404, text: '' })
  expect(refusing.logged).toEqual([])
  await using failing = await serve({ fails: true })
  expect(await failing.post(asking())).toMatchObject({ status: 500, text: '' })
  expect(failing.logged).toEqual([{ error: 'the store failed' }])
})

test('P28 a proxy that disconnects within its body is no failure, and frees its place', async () => {
  await using http = await serve()
  const options = { port: http.port, path: '/bootstrap', method: 'POST', agent: false }
  const sent = request({ ...options, headers: { host: 'zone.example', 'content-length': 100 } })
  sent.on('error', () => undefined)
  sent.write('{')
  while (http.bodies.reading === 0) await new Promise(setImmediate)
  sent.destroy()
  while (http.bodies.reading > 0) await new Promise(setImmediate)
  await new Promise(setImmediate)
  expect(http.logged).toEqual([])
})
