import { X509Certificate } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { Agent } from 'node:http'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { requestOnce } from '@zonemesh/cli/base/http.ts'
import { startEcho } from '@zonemesh/cli/scene/echo-server.ts'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { createProcesses, type Processes } from '@zonemesh/cli/scene/processes.ts'
import { claimedResolver } from '@zonemesh/cli/scene/resolver.ts'
import { resolve } from '@zonemesh/shared/dns/resolve.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createPair, type Pair } from '../../packages/plane/test/pki.ts'
import { securedMesh, startHomeZone } from './home-zone.ts'
import { type Folder, local, temporaryFolder, until, zonemesh } from './rig.ts'

let folder: Folder
let processes: Processes
let ports: number[] = []
let address = ''
let proxyAddress = ''
let tokenFile = ''
const closing: (() => unknown)[] = []
const port = (): number => ports.pop() ?? 0

beforeAll(async () => {
  folder = temporaryFolder()
  processes = createProcesses(folder.path)
  ports = await freePorts(systemRandom, 20)
  ;({ address, proxyAddress } = await startHomeZone(processes, folder, port))
})
afterAll(async () => {
  await processes.stop()
  for (const close of closing) close()
  folder[Symbol.dispose]()
})

function startProxy(name: string, networking: string): string {
  const workDir = join(folder.path, name)
  mkdirSync(workDir)
  processes.startOwn(name, [
    'dataplane',
    ...[
      '--dataplane-file',
      folder.file(`${name}.yaml`, `type: Dataplane\nmesh: default\nname: ${name}\n${networking}`),
    ],
    ...['--cp-address', proxyAddress, '--token-file', tokenFile, '--work-dir', workDir],
    ...['--ca-cert-file', join(folder.path, 'home/ca.crt'), '--concurrency', '1', '--drain-time', '200ms'],
  ])
  return workDir
}

/** A service with its sidecar, which calls another one by an explicit outbound and by its name. */
async function startService(name: string, outboundPort: number, to: string): Promise<string> {
  const servicePort = port()
  const server = await startEcho({ service: name, zone: 'home', version: name }, local, servicePort)
  closing.push(() => server.close())
  return startProxy(
    name,
    `networking:
  address: ${local}
  inbound:
    - port: ${port()}
      serviceAddress: ${local}
      servicePort: ${servicePort}
      tags: { kuma.io/service: ${name}_shop_svc_8080, kuma.io/protocol: http }
  outbound:
    - port: ${outboundPort}
      tags: { kuma.io/service: ${to}_shop_svc_8080 }
  transparentProxying:
    reachableServices: [${to}_shop_svc_8080]
`,
  )
}

test('E21 a zone without a global works from an empty folder to an answered request', async () => {
  const gatewayPort = port()
  const policies = folder.file(
    'policies.yaml',
    `${securedMesh}---
type: MeshGateway
mesh: default
name: edge
selectors: [{ match: { kuma.io/service: edge } }]
conf:
  listeners: [{ port: ${gatewayPort}, protocol: HTTP, hostname: home.example }]
---
type: MeshGatewayRoute
mesh: default
name: all
selectors: [{ match: { kuma.io/service: edge } }]
conf:
  http:
    rules:
      - matches: [{ path: { match: PREFIX, value: / } }]
        backends: [{ destination: { kuma.io/service: web_shop_svc_8080 } }]
`,
  )
  const applied = await zonemesh('apply', '-f', policies, '--wait', 'served@all', '--address', address)
  expect(applied).toMatchObject({ code: 0, stderr: '' })
  expect(applied.stdout).toMatch(/^home: served after /m)
  tokenFile = join(folder.path, 'dataplane.token')
  const token = await zonemesh('token', 'dataplane', '--out', tokenFile, '--address', address)
  expect(token).toMatchObject({ code: 0, stdout: '' })

  startProxy(
    'edge-1',
    `networking:\n  address: ${local}\n  gateway: { type: BUILTIN, tags: { kuma.io/service: edge } }\n`,
  )
  await startService('web', port(), 'cart')
  const answer = await until(
    'the gateway answers',
    () => requestOnce({ host: local, port: gatewayPort, hostname: 'home.example', path: '/x' }),
    ({ status }) => status === 200,
  )
  expect(JSON.parse(answer.body)).toMatchObject({ service: 'web', zone: 'home', path: '/x', host: 'home.example' })
})

test('E40 a zone without a global takes certificates of listeners from its own secrets, and serves a new one at once', async () => {
  const tlsPort = port()
  const pairs = [await createPair({ names: ['home.example'] }), await createPair({ names: ['home.example'] })]
  const secretOf = ({ certificate, key }: Pair) => `type: Secret
mesh: default
name: home
data: ${Buffer.from(certificate + key).toString('base64')}
`
  const gateway = `---
type: MeshGateway
mesh: default
name: edge
selectors: [{ match: { kuma.io/service: edge } }]
conf:
  listeners:
    - port: ${tlsPort}
      protocol: HTTPS
      hostname: home.example
      tls: { mode: TERMINATE, certificates: [{ secret: home }] }
`
  const shown = () =>
    new Promise<string>((answer, fail) => {
      const socket = connect(
        { host: local, port: tlsPort, servername: 'home.example', rejectUnauthorized: false },
        () => {
          answer(socket.getPeerX509Certificate()?.fingerprint256 ?? '')
          socket.destroy()
        },
      )
      socket.on('error', fail)
    })
  for (const [at, pair] of pairs.entries()) {
    const file = folder.file(`home-${at}.yaml`, secretOf(pair) + (at === 0 ? gateway : ''))
    expect(await zonemesh('apply', '-f', file, '--address', address)).toMatchObject({ code: 0, stderr: '' })
    const { fingerprint256 } = new X509Certificate(pair.certificate)
    await until('the certificate is shown', shown, (found) => found === fingerprint256)
  }
})

test('E22 sidecars of one host answer a thousand requests, and never for each other', async () => {
  const [fromBlue, fromGreen] = [port(), port()]
  const blue = await startService('blue', fromBlue, 'green')
  const green = await startService('green', fromGreen, 'blue')
  const claimed = [await claimedResolver(blue), await claimedResolver(green)]
  expect(claimed[0]).not.toBe(claimed[1])

  const addressOf = async (name: string, at: string): Promise<string> => {
    const [host = '', dnsPort = ''] = at.split(':')
    const found = await until(
      `${name} at ${at}`,
      () => resolve(name, { host, port: Number(dnsPort) }, AbortSignal.timeout(2_000)),
      ({ addresses }) => addresses.length > 0,
    )
    return found.addresses[0] ?? ''
  }
  const ways = [
    { to: 'green', host: local, port: fromBlue },
    { to: 'blue', host: local, port: fromGreen },
    { to: 'green', host: await addressOf('green.shop.svc.8080.mesh', claimed[0] ?? ''), port: 8080 },
    { to: 'blue', host: await addressOf('blue.shop.svc.8080.mesh', claimed[1] ?? ''), port: 8080 },
  ]
  expect(new Set(ways.map(({ host }) => host)).size).toBe(3)
  const agent = new Agent({ keepAlive: false })
  const ask = (way: (typeof ways)[number]) => requestOnce({ ...way, hostname: way.to, path: `/${way.to}`, agent })
  for (const way of ways) {
    await until(
      `${way.to} answers`,
      () => ask(way),
      ({ status }) => status === 200,
    )
  }
  const answeredBy = new Map<string, number>()
  for (let round = 0; round < 250; round += 1) {
    for (const answer of await Promise.all(ways.map(ask))) {
      // The echo server's own shape.
      const { service, path } = JSON.parse(answer.body) as { readonly service: string; readonly path: string }
      const pair = `${path} by ${service}`
      answeredBy.set(pair, (answeredBy.get(pair) ?? 0) + 1)
    }
  }
  expect(Object.fromEntries(answeredBy)).toEqual({ '/green by green': 500, '/blue by blue': 500 })
})
