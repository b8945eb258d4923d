import { readFile } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { partAddress } from '@zonemesh/dataplane/part.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { resolve } from '@zonemesh/shared/dns/resolve.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { planesAt, until, zonemesh } from '../../e2e/rig.ts'
import { ask } from './ask.ts'
import { mesh, gateway as plainGateway } from './documents.ts'
import { echo, v1, v3 } from './feature.ts'
import { type Scene, startScene } from './scene.ts'

// Gateways of mesh "default", one in each zone; clients in mesh "shop" in both zones, and one in the gateways' own mesh.
const shop = 'shop'
const service = 'api'
const solo = 'solo'
const local = '127.0.0.1'
const hosts = {
  api: 'api.default.mesh',
  web: 'web.example.test',
  internal: 'internal.api.default.mesh',
  solo: 'solo.mesh',
}

interface Client {
  readonly name: string
  readonly zone: 'east' | 'west'
  readonly mesh: string
  /**
   * Local outbound ports that lead to the gateway: to its first port, its second port, and to listeners that other
   * meshes must not reach. One more leads to the gateway in the other zone with a single listener, as in the
   * documentation.
   */
  readonly ports: {
    readonly first: number
    readonly second: number
    readonly service: number
    readonly plain: number
    readonly solo: number
  }
}

let scene: Scene
let free: number[]
const port = (): number => free.pop() ?? 0
let ports: { readonly first: number; readonly second: number; readonly solo: number; readonly front: number }
let clients: Readonly<Record<'near' | 'far' | 'own', Client>>

const outbound = (port: number, tags: Readonly<Record<string, string>>): JsonObject => ({ port, tags: { ...tags } })

async function startClient(name: string, zone: 'east' | 'west', of: string): Promise<Client> {
  const found = { first: port(), second: port(), service: port(), plain: port(), solo: port() }
  const crossing = { 'kuma.io/service': service, 'kuma.io/mesh': mesh }
  await scene.startProxy(zone, {
    type: 'Dataplane',
    mesh: of,
    name,
    networking: {
      address: local,
      inbound: [{ port: port(), servicePort: port(), tags: { 'kuma.io/service': name } }],
      outbound: [
        outbound(found.first, { ...crossing, listener: 'first' }),
        outbound(found.second, { ...crossing, 'zonemesh.io/port': String(ports.second) }),
        outbound(found.service, { 'kuma.io/service': echo, 'kuma.io/mesh': mesh }),
        outbound(found.plain, { 'kuma.io/service': plainGateway, 'kuma.io/mesh': mesh }),
        outbound(found.solo, { 'kuma.io/service': solo, 'kuma.io/mesh': mesh }),
      ],
    },
  })
  return { name, zone, mesh: of, ports: found }
}

const route = (name: string, to: string, hostnames: readonly string[], of = service): JsonObject => ({
  type: 'MeshGatewayRoute',
  mesh,
  name,
  selectors: [{ match: { 'kuma.io/service': of } }],
  conf: {
    http: {
      hostnames: [...hostnames],
      rules: [
        {
          matches: [{ path: { match: 'PREFIX', value: '/' } }],
          backends: [{ weight: 1, destination: { 'kuma.io/service': to } }],
        },
        {
          matches: [{ path: { match: 'PREFIX', value: '/moved' } }],
          filters: [{ redirect: { statusCode: 302, path: { replaceFull: '/here' } } }],
        },
      ],
    },
  },
})

async function apply(documents: readonly JsonObject[]): Promise<void> {
  const reply = await scene.global.need('POST', '/_commit', { documents: [...documents], atomic: true, intent: 'test' })
  const { outcomes } = reply.json as { readonly outcomes: readonly JsonObject[] } // the plane's own type
  expect(outcomes.filter(({ outcome }) => outcome === 'refused')).toEqual([])
}

beforeAll(async () => {
  scene = await startScene([])
  free = [...(await freePorts(systemRandom, 30))]
  ports = { first: port(), second: port(), solo: port(), front: port() }
  const first = { port: ports.first, protocol: 'HTTP', crossMesh: true, tags: { listener: 'first' } }
  await apply([
    { type: 'Mesh', name: shop, mtls: { enabledBackend: 'ca', backends: [{ name: 'ca', type: 'builtin' }] } },
    {
      type: 'MeshGateway',
      mesh,
      name: 'api',
      selectors: [{ match: { 'kuma.io/service': service } }],
      conf: {
        listeners: [
          { ...first, hostname: hosts.api },
          { ...first, hostname: hosts.web },
          { port: ports.second, protocol: 'HTTP', crossMesh: true },
        ],
      },
    },
    {
      type: 'MeshGateway',
      mesh,
      name: solo,
      selectors: [{ match: { 'kuma.io/service': solo } }],
      conf: { listeners: [{ port: ports.solo, protocol: 'HTTP', crossMesh: true, hostname: hosts.solo }] },
    },
    route('solo-to-echo', echo, [], solo),
    route('to-echo', echo, [hosts.api]),
    route('to-v1', v1, [hosts.web]),
    route('to-v3', v3, [hosts.internal]),
  ])
  for (const [zone, name] of [
    ['east', service],
    ['west', solo],
  ] as const) {
    await scene.startProxy(zone, {
      type: 'Dataplane',
      mesh,
      name: `${name}-${zone}`,
      networking: { address: local, gateway: { type: 'BUILTIN', tags: { 'kuma.io/service': name } } },
    })
  }
  clients = {
    near: await startClient('near', 'east', shop),
    far: await startClient('far', 'west', shop),
    own: await startClient('own', 'west', mesh),
  }
}, 180_000)
afterAll(() => scene?.[Symbol.asyncDispose]())

const at = (port: number, host: string, path = '/', address = local) =>
  ask({ host: address, port, method: 'GET', path, headers: { host } })

/** The response, once the configuration for it has arrived. */
const settled = (title: string, port: number, host: string, path = '/', address = local) =>
  until(
    title,
    () => at(port, host, path, address),
    ({ status }) => status !== 503 && status !== 404,
    60_000,
  )

const kinds = ['near', 'far', 'own'] as const

test.each(kinds)(
  'GW22 the client "%s" reaches the gateway by explicit outbounds, by host and by port',
  async (kind) => {
    const { name, ports: out } = clients[kind]
    const asked = [
      [out.first, hosts.api, echo],
      [out.first, hosts.web, v1],
      [out.second, hosts.internal, v3],
      [out.solo, hosts.solo, echo],
    ] as const
    for (const [port, host, to] of asked) {
      const answer = await settled(`${name} asks ${host}`, port, host)
      expect({ host, status: answer.status, to: JSON.parse(answer.body).service }).toEqual({ host, status: 200, to })
      expect(answer.headers['strict-transport-security']).toBe('max-age=31536000; includeSubDomains')
    }
    expect((await at(out.first, hosts.internal)).status, 'a host of another port').toBe(404)
  },
)

test('GW22 a gateway of another mesh can be a backend', async () => {
  await apply([
    {
      type: 'MeshGateway',
      mesh: shop,
      name: 'front',
      selectors: [{ match: { 'kuma.io/service': 'front' } }],
      conf: { listeners: [{ port: ports.front, protocol: 'HTTP' }] },
    },
    {
      type: 'MeshGatewayRoute',
      mesh: shop,
      name: 'front',
      selectors: [{ match: { 'kuma.io/service': 'front' } }],
      conf: {
        http: {
          rules: [
            {
              matches: [{ path: { match: 'PREFIX', value: '/' } }],
              backends: [{ weight: 1, destination: { 'kuma.io/service': solo, 'kuma.io/mesh': mesh } }],
            },
          ],
        },
      },
    },
  ])
  await scene.startProxy('east', {
    type: 'Dataplane',
    mesh: shop,
    name: 'front-east',
    networking: { address: local, gateway: { type: 'BUILTIN', tags: { 'kuma.io/service': 'front' } } },
  })
  const answer = await settled('the gateway of the other mesh', ports.front, hosts.solo)
  expect({ status: answer.status, to: JSON.parse(answer.body).service }).toEqual({ status: 200, to: echo })
})

test('GW21 a redirect sends the client back over HTTP', async () => {
  const answer = await settled('a redirect', clients.near.ports.first, hosts.api, '/moved')
  expect(answer.status).toBe(302)
  expect(answer.headers['location']).toBe(`http://${hosts.api}:${ports.first}/here`)
})

test.each(kinds)(
  'GW22 neither services nor other listeners of gateways are reachable from "%s" this way',
  async (kind) => {
    const { ports: out } = clients[kind]
    await settled(`${kind} is there`, out.first, hosts.api)
    expect(await Promise.all([at(out.service, 'any'), at(out.plain, 'any')])).toMatchObject([
      { status: 503 },
      { status: 503 },
    ])
  },
)

test('GW20 a client without an identity of a mesh is refused', async () => {
  await settled('the gateway is there', clients.near.ports.first, hosts.api)
  const said = `GET / HTTP/1.1\r\nhost: ${hosts.api}\r\nconnection: close\r\n\r\n`
  const everything = (kind: 'plain' | 'tls', alpn: readonly string[] = []) =>
    new Promise<string>((done) => {
      let text = ''
      const place = { host: local, port: ports.first }
      const socket =
        kind === 'plain'
          ? createConnection(place, () => socket.write(said))
          : connectTls({ ...place, rejectUnauthorized: false, ALPNProtocols: [...alpn] }, () => socket.write(said))
      socket.on('data', (bytes: Buffer) => {
        text += bytes.toString('utf8')
      })
      socket.on('error', () => undefined)
      socket.on('close', () => done(text))
    })
  expect(await everything('plain')).toBe('')
  expect(await everything('tls')).toBe('')
  expect(await everything('tls', ['kuma'])).toBe('')
})

/** The resolver beside a proxy, in the part of the loopback network that it has claimed. */
async function resolverOf(proxy: string): Promise<{ host: string; port: number }> {
  const text = await readFile(join(scene.workDirOf(proxy), 'part.json'), 'utf8')
  const { part } = JSON.parse(text) as { readonly part: number } // the proxy writes it
  return { host: partAddress(part, 1), port: 15053 }
}

const named = [
  [hosts.api, 'first', echo],
  [hosts.web, 'first', v1],
  [hosts.internal, 'second', v3],
  [hosts.solo, 'solo', echo],
] as const

test.each(kinds)('GW24 the client "%s" reaches each host by its name and the port of the listener', async (kind) => {
  const { name } = clients[kind]
  for (const [host, which, to] of named) {
    const { addresses } = await until(
      `${host} at the resolver of ${name}`,
      async () => resolve(host, await resolverOf(name), AbortSignal.timeout(2_000)),
      (answer) => answer.addresses.length > 0,
      60_000,
    )
    const answer = await settled(`${name} asks ${host} by name`, ports[which], host, '/', addresses[0])
    expect({ host, status: answer.status, to: JSON.parse(answer.body).service }).toEqual({ host, status: 200, to })
  }
})

test.each(['east', 'west'] as const)('GW24 the resolver of zone %s answers the names', async (zone) => {
  const server = { host: local, port: scene.zones[zone].dnsPort }
  for (const [host] of named) {
    const { addresses } = await until(
      `${host} at the resolver of ${zone}`,
      () => resolve(host, server, AbortSignal.timeout(2_000)),
      (answer) => answer.addresses.length > 0,
    )
    expect(addresses).toEqual([expect.stringMatching(/^240\./)])
  }
})

test('Q4 explain follows a request into the other mesh by a name, by an outbound and through a gateway, and finds each path open', async () => {
  const planes = planesAt(scene.global.address, scene.zones)
  const ways = [
    [`http://${hosts.solo}:${ports.solo}/`, 'east/near', []],
    [`http://${hosts.api}:${ports.first}/`, 'west/far', []],
    [`http://localhost:${clients.near.ports.solo}/`, 'east/near', ['--header', `host: ${hosts.solo}`]],
    [`http://${hosts.solo}:${ports.front}/`, 'east/front-east', []],
  ] as const
  for (const [url, from, more] of ways) {
    await until(
      `${url} from ${from}`,
      () => zonemesh('explain', url, '--from', from, ...planes, ...more),
      ({ code, stdout }) =>
        code === 0 &&
        stdout.includes('the path is open') &&
        !stdout.includes('not compared') &&
        /✔ service/.test(stdout),
    )
  }
})

test('GW24 without the gateway there are neither names nor paths', async () => {
  await scene.global.need('DELETE', `/meshes/${mesh}/meshgateways/api`)
  for (const kind of kinds) {
    const { name, ports: out } = clients[kind]
    await until(
      `${name} no more reaches it`,
      () => at(out.first, hosts.api),
      ({ status }) => status === 503,
      30_000,
    )
    await until(
      `${hosts.api} is no name for ${name}`,
      async () => resolve(hosts.api, await resolverOf(name), AbortSignal.timeout(2_000)),
      (answer) => answer.addresses.length === 0,
      30_000,
    )
  }
}, 120_000)
