import { X509Certificate } from 'node:crypto'
import { Agent, request } from 'node:https'
import { performance } from 'node:perf_hooks'
import { connect } from 'node:tls'
import { requestOnce } from '@zonemesh/cli/base/http.ts'
import type { Demo } from '@zonemesh/cli/demo/run.ts'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createPair, type Pair, together } from '../../packages/plane/test/pki.ts'
import { api, local, type Scene, startScene, startTraffic, statusOf, until, zonemesh } from './rig.ts'

type Gateway = JsonObject & { readonly conf: { readonly listeners: readonly JsonObject[] } }

let scene: Scene
let demo: Demo
let tlsPort = 0
let tcpPort = 0

beforeAll(async () => {
  scene = await startScene(57)
  demo = scene.demo
  const ports = await freePorts(systemRandom, 2)
  tlsPort = ports[0] ?? 0
  tcpPort = ports[1] ?? 0
  const { mesh, gateway, hostname, listenerTag, service } = demo.names
  await secret('shop', together(await certificate()))
  const listener = { hostname, port: tlsPort, protocol: 'HTTPS', tags: { listener: listenerTag } }
  await put(`/meshes/${mesh}/meshgateways/${gateway}`, {
    type: 'MeshGateway',
    mesh,
    name: gateway,
    selectors: [{ match: { 'kuma.io/service': gateway } }],
    conf: {
      listeners: [
        { hostname, port: demo.gatewayPort, protocol: 'HTTP', tags: { listener: listenerTag } },
        { ...listener, tls: { mode: 'TERMINATE', certificates: [{ secret: 'shop' }] } },
        { port: tcpPort, protocol: 'TCP', tags: { listener: 'stream' } },
      ],
    },
  })
  await put(`/meshes/${mesh}/meshgatewayroutes/stream`, {
    type: 'MeshGatewayRoute',
    mesh,
    name: 'stream',
    selectors: [{ match: { 'kuma.io/service': gateway, listener: 'stream' } }],
    conf: { tcp: { rules: [{ backends: [{ destination: { 'kuma.io/service': service } }] }] } },
  })
})
afterAll(() => scene[Symbol.asyncDispose]())

const certificate = (more: Partial<Parameters<typeof createPair>[0]> = {}): Promise<Pair> =>
  createPair({ names: [demo.names.hostname], ...more })
const put = (path: string, document: JsonObject) => api(demo.globalAddress).need('PUT', path, document)
const secret = (name: string, text: string) => {
  const { mesh } = demo.names
  return put(`/meshes/${mesh}/secrets/${name}`, {
    type: 'Secret',
    mesh,
    name,
    data: Buffer.from(text).toString('base64'),
  })
}
const fingerprintOf = (pair: Pair): string => new X509Certificate(pair.certificate).fingerprint256

/** The certificate that the listener presents to a new connection. */
const shown = (servername = demo.names.hostname): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect({ host: local, port: tlsPort, servername, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerX509Certificate()?.fingerprint256 ?? '')
      socket.destroy()
    })
    socket.on('error', reject)
  })

/** One request over TLS on a connection of the agent. */
const ask = (agent: Agent, path = '/'): Promise<number> =>
  new Promise((resolve, reject) => {
    const { hostname } = demo.names
    const options = { host: local, port: tlsPort, path, agent, servername: hostname, headers: { host: hostname } }
    request({ ...options, rejectUnauthorized: false, timeout: 3_000 }, (incoming) => {
      incoming.resume().on('end', () => resolve(incoming.statusCode ?? 0))
    })
      .on('timeout', () => reject(new Error('no answer within 3 s')))
      .on('error', reject)
      .end()
  })

const zoneVerdicts = async () => (await statusOf(demo.zones.east.apiAddress)).verdicts

test('E34 a request over TLS is answered with the certificate of the secret', async () => {
  const pair = await certificate()
  await secret('shop', together(pair))
  await until('the certificate is shown', shown, (now) => now === fingerprintOf(pair))
  const agent = new Agent()
  expect(await ask(agent)).toBe(200)
  agent.destroy()
})

test('E35 new connections get a replaced secret within moments, and no open connection is dropped', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 16 })
  const sockets = new Set<unknown>()
  agent.on('free', (socket) => sockets.add(socket))
  const askAll = () => Promise.all(Array.from({ length: 16 }, () => ask(agent)))
  await askAll()
  const opened = sockets.size
  let running = true
  const failures: string[] = []
  let answers = 0
  const traffic = (async () => {
    while (running) {
      const statuses = await askAll().catch((thrown: Error) => [thrown.message])
      answers += statuses.length
      failures.push(...statuses.filter((one) => one !== 200).map(String))
    }
  })()
  const tookMs: number[] = []
  const rounds = 20
  // A change of the key type would change the name of the secret and so the chain; here the name stays.
  for (let round = 0; round < rounds; round += 1) {
    const pair = await certificate()
    const wanted = fingerprintOf(pair)
    const startMs = performance.now()
    await secret('shop', together(pair))
    while ((await shown()) !== wanted) expect(performance.now() - startMs).toBeLessThan(5_000)
    tookMs.push(performance.now() - startMs)
  }
  running = false
  await traffic
  agent.destroy()
  const sorted = tookMs.sort((a, b) => a - b).map(Math.round)
  process.stderr.write(
    `a replaced secret, from the PUT on the global to a handshake that shows it, ${rounds} times under load: median ${sorted[rounds / 2]} ms, worst ${sorted.at(-1)} ms\n`,
  )
  expect([failures, sockets.size]).toEqual([[], opened])
  expect(answers).toBeGreaterThan(100)
  expect(sorted[rounds / 2]).toBeLessThan(500)
})

test('E36 a broken secret keeps the former certificate, is reported in both planes, and recovers when it is repaired', async () => {
  const good = await certificate()
  await secret('shop', together(good))
  await until('the good one', shown, (now) => now === fingerprintOf(good))
  await secret('shop', good.certificate + (await certificate()).key)
  const key = `global/Secret/${demo.names.mesh}/shop`
  const reason = 'the private key does not belong to the first certificate; the former certificate is still served'
  await until('the zone tells', zoneVerdicts, (all) => all.some((one) => one.key === key && one.reason === reason))
  const status = await until(
    'the global tells',
    () => zonemesh('status', '--address', demo.globalAddress),
    ({ stdout }) => stdout.includes(reason),
  )
  expect(status.stdout).toContain(`in east`)
  expect(await shown()).toBe(fingerprintOf(good))
  const agent = new Agent()
  expect(await ask(agent)).toBe(200)
  agent.destroy()
  const mended = await certificate()
  await secret('shop', together(mended))
  await until('the mended one', shown, (now) => now === fingerprintOf(mended))
  await until('nothing is told any more', zoneVerdicts, (all) => !all.some((one) => one.key === key))
})

test('E37 an expiry is reported two weeks ahead', async () => {
  const pair = await certificate({ days: 13 })
  await secret('shop', together(pair))
  await until('it is shown', shown, (now) => now === fingerprintOf(pair))
  const line = `expiring: listener certificate of secret shop in mesh ${demo.names.mesh} expires in `
  for (const address of [demo.globalAddress, demo.zones.east.apiAddress]) {
    const { stdout } = await zonemesh('status', '--address', address)
    expect(stdout).toContain(line)
  }
  await secret('shop', together(await certificate()))
})

test('E42 if one of two inline certificates is invalid, the other one and the port are served, and its secret is named', async () => {
  const { mesh, gateway } = demo.names
  const path = `/meshes/${mesh}/meshgateways/${gateway}`
  const before = (await api(demo.globalAddress).need('GET', path)).json as Gateway // Kuma's form
  const hosts = { good: 'good.example.test', bad: 'bad.example.test' }
  const [good, other] = [await createPair({ names: [hosts.good], days: 13 }), await createPair({ names: [hosts.bad] })]
  const inline = (hostname: string, text: string) => ({
    hostname,
    port: tlsPort,
    protocol: 'HTTPS',
    tags: { listener: demo.names.listenerTag },
    tls: { mode: 'TERMINATE', certificates: [{ inlineString: text }] },
  })
  const write = (key: string) =>
    put(path, {
      ...before,
      conf: {
        listeners: [
          ...before.conf.listeners,
          inline(hosts.good, together(good)),
          inline(hosts.bad, other.certificate + key),
        ],
      },
    })
  // The key of another certificate.
  await write(good.key)
  await until(
    'the good one is shown',
    () => shown(hosts.good),
    (now) => now === fingerprintOf(good),
  )
  const source = `global/Secret/${mesh}/inline-`
  const [verdict] = await until('the bad one is named', zoneVerdicts, (all) =>
    all.some(({ key }) => key.startsWith(source)),
  )
  expect(verdict?.reason).toMatch(/key/i)
  await expect(shown(hosts.bad)).rejects.toThrow()
  const agent = new Agent()
  expect(await ask(agent)).toBe(200)
  agent.destroy()
  const { stdout } = await zonemesh('status', '--address', demo.zones.east.apiAddress)
  expect(stdout).toContain('expiring: listener certificate of secret inline-')
  await write(other.key)
  await until(
    'the mended one is shown',
    () => shown(hosts.bad).catch(String),
    (now) => now === fingerprintOf(other),
  )
  expect(await zoneVerdicts()).toEqual([])
  await put(path, before)
})

/** Each request uses a separate connection from end to end, with its own handshakes. */
const throughStream = () => requestOnce({ host: local, port: tcpPort, hostname: 'stream', path: '/' })

/** The backends that issued the certificates of the proxies. */
async function backends(): Promise<string[]> {
  const { mesh } = demo.names
  const { json } = await api(demo.globalAddress).need('GET', `/meshes/${mesh}/dataplanes/_overview`)
  // Kuma's overview.
  const { items } = json as { items: { dataplaneInsight?: { mTLS?: { issuedBackend?: string } } }[] }
  return [...new Set(items.map((one) => one.dataplaneInsight?.mTLS?.issuedBackend ?? 'none'))]
}

const setMesh = (enabledBackend: string, all: readonly JsonObject[]) => {
  const { mesh: name } = demo.names
  return put(`/meshes/${name}`, { type: 'Mesh', name, mtls: { enabledBackend, backends: all } })
}

async function rotate(enabled: string, all: readonly JsonObject[]): Promise<number> {
  const startMs = performance.now()
  await setMesh(enabled, all)
  await until(
    `all certificates come from ${enabled}`,
    backends,
    (now) => now.length === 1 && now[0] === enabled,
    30_000,
  )
  return Math.round(performance.now() - startMs)
}

const builtin = (name: string) => ({ name, type: 'builtin' })
const tell = (what: string, ms: number, requests: number) =>
  process.stderr.write(`${what}: ${ms} ms until all proxies show it; ${requests} new connections, none failed\n`)

test('E38 one authority takes over from another under load, and no request fails', async () => {
  await until('the stream answers', throughStream, ({ status }) => status === 200)
  await using traffic = startTraffic(throughStream, 4)
  await traffic.more(100)
  const both = [builtin('ca-1'), builtin('ca-2')]
  const ms = await rotate('ca-2', both)
  await traffic.more(200)
  const back = await rotate('ca-1', both)
  await traffic.more(200)
  // The next rotation follows at once, without the previous backend.
  const last = await rotate('ca-3', [builtin('ca-3')])
  await traffic.more(200)
  const { requests, failures } = await traffic.stop()
  expect(failures).toEqual([])
  tell('another authority', Math.max(ms, back, last), requests)
})

test('E39 a provided authority signs for the zones, another one takes over without a failure, and one that cannot sign is refused', async () => {
  const { mesh } = demo.names
  const first = await createPair({ authority: {}, commonName: 'our own', type: 'rsa' })
  const root = await createPair({ authority: {}, commonName: 'our root' })
  const second = await createPair({ authority: {}, commonName: 'our issuer', curve: 'P-384', issuer: root })
  await secret('ca-cert', first.certificate)
  await secret('ca-key', first.key)
  const own = { name: 'own', type: 'provided', conf: { cert: { secret: 'ca-cert' }, key: { secret: 'ca-key' } } }
  await using traffic = startTraffic(throughStream, 4)
  await traffic.more(100)
  const ms = await rotate('own', [own])
  await traffic.more(200)
  const inline = {
    name: 'own-2',
    type: 'provided',
    conf: {
      cert: { inlineString: second.certificate + root.certificate },
      key: { inline: Buffer.from(second.key).toString('base64') },
    },
  }
  const next = await rotate('own-2', [own, inline])
  await traffic.more(200)
  const { requests, failures } = await traffic.stop()
  expect(failures).toEqual([])
  tell('a provided authority', Math.max(ms, next), requests)

  const refused = async (conf: JsonObject) => {
    const document = {
      type: 'Mesh',
      name: mesh,
      mtls: { enabledBackend: 'x', backends: [{ name: 'x', type: 'provided', conf }] },
    }
    const { status, json } = await api(demo.globalAddress).call('PUT', `/meshes/${mesh}`, document)
    // Errors have this shape.
    const { invalid_parameters: fields = [] } = json as { invalid_parameters?: { field: string; reason: string }[] }
    return [status, ...fields.map(({ field, reason }) => `${field}: ${reason}`)]
  }
  const leaf = await createPair({ names: ['a.example'] })
  const text = (pair: Pair, key = pair.key) => ({
    cert: { inlineString: pair.certificate },
    key: { inlineString: key },
  })
  const at = 'mtls.backends[0].conf'
  expect(await refused({})).toEqual([400, `${at}.cert: has to be defined`, `${at}.key: has to be defined`])
  expect(await refused(text(leaf))).toEqual([
    400,
    `${at}.cert[0]: basic constraint 'CA' must be set to 'true' (see X509-SVID: 4.1. Basic Constraints)`,
    `${at}.cert[0]: key usage extension 'keyCertSign' must be set (see X509-SVID: 4.3. Key Usage)`,
  ])
  expect(await refused(text(first, leaf.key))).toEqual([
    400,
    `${at}.cert: not a valid TLS key pair: private key does not match public key`,
  ])
  expect(await refused(text(await createPair({ authority: { pathLength: 0 } })))).toEqual([
    400,
    `${at}.cert[0]: path length must not be 0: each zone needs an authority of its own below this one`,
  ])
})
