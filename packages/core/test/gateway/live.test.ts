import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type ConnectionOptions, connect as connectTls, createServer as createTlsServer } from 'node:tls'
import { findEnvoy } from '@zonemesh/dataplane/envoy/find.ts'
import { createRoot, createServerCertificate, type KeyedCertificate, lifetime } from '@zonemesh/plane/authority/x509.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createCompiler } from '../../src/compile/compiler.ts'
import { decoded } from '../../src/emit/decode.ts'
import { typeUrls } from '../../src/emit/table.ts'
import { builtinGateway, createScene, global, httpRoute, meshGateway, prefixRule, zoned } from '../compile/scene.ts'

/** Tests the behaviour of listeners with a real Envoy that has the compiled table as its static configuration. */

const folder = mkdtempSync(join(tmpdir(), 'zonemesh-listeners-'))
const servers: Server[] = []
const sockets: Socket[] = []
let envoy: ChildProcess | undefined
const ports = { web: 0, first: 0, secure: 0, tcp: 0, limited: 0, closed: 0, https: 0, tls: 0 }

const listening = async (server: Server): Promise<number> => {
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  // A server that listens on a port has an AddressInfo.
  return (server.address() as AddressInfo).port
}

const terminate = (secret: string) => ({ tls: { mode: 'TERMINATE', certificates: [{ secret }] } })

function bootstrap(secretByName: ReadonlyMap<string, KeyedCertificate>) {
  const scene = createScene()
  const service = (name: string, port: number, protocol: string) =>
    scene.put(zoned('east', 'Dataplane', name), {
      networking: {
        address: '127.0.0.1',
        inbound: [{ port, tags: { 'kuma.io/service': name, 'kuma.io/protocol': protocol } }],
      },
    })
  const tcpRoute = (name: string) =>
    scene.put(global('MeshGatewayRoute', name), {
      selectors: [{ match: { 'kuma.io/service': 'edge-gateway', to: name } }],
      conf: { tcp: { rules: [{ backends: [{ destination: { 'kuma.io/service': name } }] }] } },
    })
  const versions = [
    scene.put(zoned('east', 'Dataplane', 'edge'), builtinGateway('127.0.0.1')),
    service('web', ports.web, 'http'),
    service('first', ports.first, 'tcp'),
    service('secure', ports.secure, 'tcp'),
    tcpRoute('first'),
    tcpRoute('secure'),
    scene.put(global('MeshGatewayRoute', 'web'), httpRoute([prefixRule('/', 'web')])),
    scene.put(
      global('MeshGateway', 'edge'),
      meshGateway([
        { port: ports.tcp, protocol: 'TCP', tags: { to: 'first' } },
        { port: ports.limited, protocol: 'TCP', tags: { to: 'first' }, resources: { connectionLimit: 1 } },
        { port: ports.closed, protocol: 'TCP', tags: { to: 'nobody' } },
        { port: ports.https, protocol: 'HTTPS', hostname: 'one.example.com', ...terminate('one') },
        { port: ports.https, protocol: 'HTTPS', hostname: '*.example.com', ...terminate('wild') },
        {
          port: ports.tls,
          protocol: 'TLS',
          hostname: 'pass.example.com',
          tags: { to: 'secure' },
          tls: { mode: 'PASSTHROUGH' },
        },
        { port: ports.tls, protocol: 'TLS', hostname: 'end.example.com', tags: { to: 'first' }, ...terminate('one') },
      ]),
    ),
    ...[...secretByName.keys()].map((secret) =>
      scene.put(global('GatewayCertificate', `${secret}.east`), {
        secret,
        zone: 'east',
        keyType: 'ecdsa',
        names: [],
        notAfterMs: 1,
        fingerprint: 'f',
        sealed: 's',
      }),
    ),
  ]
  const compiler = createCompiler({ zone: 'east' })
  compiler.apply(versions, scene.revision)
  const table = compiler.table('east/Dataplane/default/edge', { canBindPort80: true })
  const assignments = decoded(table, typeUrls.assignment)
  const tables = decoded(table, typeUrls.route)

  /** Replaces resources that Envoy would get over a stream by static ones. */
  function inPlace(value: unknown): unknown {
    if (Array.isArray(value)) return value.map(inPlace)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(
      Object.entries(value).flatMap(([key, member]) => {
        if (key === 'sds_config') return []
        if (key === 'rds') return [['route_config', tables[member.route_config_name]]]
        return [[key, inPlace(member)]]
      }),
    )
  }

  return {
    node: { id: 'n', cluster: 'c' },
    layered_runtime: {
      // There is one layer, and only this field is read.
      layers: (Object.values(decoded(table, typeUrls.runtime)) as { layer: object }[]).map(({ layer }, at) => ({
        name: `layer ${at}`,
        static_layer: layer,
      })),
    },
    static_resources: {
      // Only the name of each cluster is read.
      clusters: Object.values(decoded(table, typeUrls.cluster) as Record<string, { name: string }>).map((cluster) => ({
        ...cluster,
        type: 'STATIC',
        eds_cluster_config: undefined,
        load_assignment: assignments[cluster.name],
      })),
      listeners: inPlace(Object.values(decoded(table, typeUrls.listener))),
      secrets: [...secretByName].map(([secret, { certificate, key }]) => ({
        name: `cert.ecdsa:secret:${secret}`,
        tls_certificate: { certificate_chain: { inline_string: certificate }, private_key: { inline_string: key } },
      })),
    },
  }
}

beforeAll(async () => {
  const binary = await findEnvoy({ env: process.env, progress: () => undefined }, AbortSignal.timeout(60_000))
  const life = lifetime(Date.now(), 1)
  const root = await createRoot('test', life)
  const certificateOf = (name: string) => createServerCertificate(root, [name], life)
  const [one, wild, secure] = [await certificateOf('one'), await certificateOf('wild'), await certificateOf('secure')]
  ports.web = await listening(createServer((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nweb')))
  ports.first = await listening(createServer((socket) => socket.on('error', () => undefined).write('I speak first\n')))
  ports.secure = await listening(
    createTlsServer({ cert: secure.certificate, key: secure.key }, (socket) => socket.end('secure\n')),
  )
  for (const name of ['tcp', 'limited', 'closed', 'https', 'tls'] as const) {
    const server = createServer()
    ports[name] = await listening(server)
    server.close()
  }
  const file = join(folder, 'bootstrap.json')
  writeFileSync(file, JSON.stringify(bootstrap(new Map(Object.entries({ one, wild })))))
  envoy = spawn(binary, ['-c', file, '-l', 'info', '--use-dynamic-base-id', '--concurrency', '1'])
  for await (const line of createInterface({ input: envoy.stderr ?? process.stdin })) {
    if (line.includes('[critical]')) throw new Error(line)
    if (line.includes('starting main dispatch loop')) break
  }
  // Nothing reads the rest of the output, and Envoy must not block on it.
  envoy.stderr?.resume()
}, 60_000)

afterAll(async () => {
  if (envoy && envoy.exitCode === null) {
    envoy.kill()
    await once(envoy, 'exit')
  }
  for (const socket of sockets) socket.destroy()
  for (const server of servers) server.close()
  rmSync(folder, { recursive: true, force: true })
})

/** The first text of the server, or that it closed the connection. */
const wordsOf = (port: number): Promise<string> =>
  new Promise((resolve) => {
    // The socket stays open, so that it counts as a connection.
    const socket = connect(port, '127.0.0.1')
    sockets.push(socket)
    socket.once('data', (words) => resolve(String(words).trim()))
    socket.once('close', () => resolve('closed'))
    socket.once('error', () => resolve('closed'))
  })

/** The name in the server certificate, the negotiated protocol, and the first text of a server that speaks first. */
const handshake = (port: number, servername: string, options: ConnectionOptions = {}): Promise<string> =>
  new Promise((resolve) => {
    const socket = connectTls(
      { port, host: '127.0.0.1', servername, rejectUnauthorized: false, ALPNProtocols: ['h2', 'http/1.1'], ...options },
      () => {
        const shown = `${socket.getPeerCertificate().subject.CN} ${socket.alpnProtocol || 'no ALPN'}`
        if (port === ports.https) resolve(shown)
        else socket.once('data', (words) => resolve(`${shown} ${String(words).trim()}`))
      },
    )
    sockets.push(socket)
    socket.once('error', () => resolve('refused'))
    socket.once('close', () => resolve('refused'))
  })

const get = (host: string): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port: ports.https, servername: host, headers: { host }, agent: false }
    request({ ...options, rejectUnauthorized: false }, (response) => {
      resolve([response.statusCode, response.headers['strict-transport-security']])
      response.resume()
    })
      .on('error', reject)
      .end()
  })

test('GW17 a TCP listener works with a server that speaks first, and closes connections without a route', async () => {
  expect(await wordsOf(ports.tcp)).toBe('I speak first')
  expect(await wordsOf(ports.closed)).toBe('closed')
})

test('GW18 a connection over the limit of its listener is closed', async () => {
  expect(await wordsOf(ports.limited)).toBe('I speak first')
  expect(await wordsOf(ports.limited)).toBe('closed')
})

test('GW14 an HTTPS listener serves the certificate of the hostname, HTTP/2 by ALPN and TLS 1.2 or newer, and no other names', async () => {
  expect(await handshake(ports.https, 'one.example.com')).toBe('one h2')
  expect(await handshake(ports.https, 'a.b.example.com')).toBe('wild h2')
  expect(await handshake(ports.https, 'example.org')).toBe('refused')
  expect(await handshake(ports.https, 'one.example.com', { maxVersion: 'TLSv1.2' })).toBe('one h2')
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
  expect(await handshake(ports.https, 'one.example.com', old)).toBe('refused')
})

test('GW34 an HTTPS response contains Strict-Transport-Security', async () => {
  expect(await get('one.example.com')).toEqual([200, 'max-age=31536000; includeSubDomains'])
  expect(await get('x.example.com')).toEqual([200, 'max-age=31536000; includeSubDomains'])
})

test('GW14 a TLS listener passes through or terminates by the requested name', async () => {
  expect(await handshake(ports.tls, 'pass.example.com')).toBe('secure no ALPN secure')
  expect(await handshake(ports.tls, 'end.example.com')).toBe('one no ALPN I speak first')
  expect(await handshake(ports.tls, 'other.example.com')).toBe('refused')
})
