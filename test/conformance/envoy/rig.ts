import 'reflect-metadata'
import { type ChildProcess, spawn } from 'node:child_process'
import { webcrypto } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http'
import { createServer as createTlsServer, request as httpsRequest } from 'node:https'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as x509 from '@peculiar/x509'
import { findEnvoy } from '@zonemesh/dataplane/envoy/find.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { type Log, silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { createLatest } from '@zonemesh/shared/streams/latest.ts'
import type { NamesTable } from '@zonemesh/zone/names/names-feed.ts'
import type { AdsEffect, AdsEvent, AdsOptions, Refusal, ResolvedTable } from '@zonemesh/zone/xds/ads-state.ts'
import type { ProxyIdentity, ProxyStream, XdsDeps } from '@zonemesh/zone/xds/contract.ts'
import { startXdsServer, type XdsServer } from '@zonemesh/zone/xds/server.ts'

export interface Certificate {
  readonly certificate: string
  readonly key: string
}

/** A self-signed certificate that is its own authority, for 127.0.0.1 and localhost. */
export async function createCertificate(commonName = 'zonemesh test'): Promise<Certificate> {
  x509.cryptoProvider.set(webcrypto)
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const made = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: Buffer.from(systemRandom.bytes(8)).toString('hex').replace(/^./, '1'),
    name: `CN=${commonName}`,
    notBefore: new Date(Date.now() - 3_600_000),
    notAfter: new Date(Date.now() + 86_400_000),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 1, true),
      new x509.SubjectAlternativeNameExtension([
        { type: 'ip', value: '127.0.0.1' },
        { type: 'dns', value: 'localhost' },
      ]),
    ],
  })
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  const pem = `-----BEGIN PRIVATE KEY-----\n${key.match(/.{1,64}/g)?.join('\n') ?? ''}\n-----END PRIVATE KEY-----\n`
  return { certificate: made.toString('pem'), key: pem }
}

/** The messages of one stream, in order. */
export type Trace = { readonly at: number; readonly entry: AdsEvent | AdsEffect }

export interface Zone extends AsyncDisposable {
  readonly server: XdsServer
  readonly certificate: Certificate
  readonly table: { set(table: ResolvedTable): void }
  readonly names: { set(table: NamesTable): void }
  readonly trace: Trace[]
  readonly served: number[]
  readonly refusals: Refusal[]
  readonly absolved: string[]
  readonly streams: ProxyStream[]
  readonly closed: ProxyStream[]
  readonly events: string[]
  /** Drops the messages so far from the result of `sent`. */
  forget(): void
  sent(): Extract<AdsEffect, { type: 'send' }>[]
  restart(): Promise<void>
}

export interface ZoneOptions {
  readonly ads?: Partial<Omit<AdsOptions, 'isProven' | 'doubtful'>>
  readonly deps?: Partial<XdsDeps>
  readonly token?: string
  readonly log?: Log
}

/** Our real xDS server over a table that the test sets by hand. */
export async function startZone(options: ZoneOptions = {}): Promise<Zone> {
  const certificate = await createCertificate()
  const table = createLatest<ResolvedTable | undefined>(undefined)
  const names = createLatest<NamesTable | undefined>(undefined)
  const trace: Trace[] = []
  const lists = {
    served: [] as number[],
    refusals: [] as Refusal[],
    absolved: [] as string[],
    streams: [] as ProxyStream[],
    closed: [] as ProxyStream[],
    events: [] as string[],
  }
  const deps: XdsDeps = {
    clock: systemClock,
    log: options.log ?? silentLog,
    random: systemRandom,
    bootstrap: {
      log: silentLog,
      tokenRequired: () => options.token !== undefined,
      check: async () => ({ ok: true, value: { service: 'svc', isBuiltinGateway: false, address: '127.0.0.1' } }),
    },
    authenticate: async (token) =>
      options.token === undefined || token === options.token
        ? { ok: true, value: { covers: () => ({ ok: true, value: undefined }) } }
        : { ok: false, error: 'bad token' },
    holdToken: () => ({ [Symbol.dispose]: () => {} }),
    opened: async (stream) => {
      lists.streams.push(stream)
      return { ok: true, value: undefined }
    },
    closed: (stream) => void lists.closed.push(stream),
    openTables: () => ({ table, close: () => {} }),
    refused: (_proxy, refusal) => void lists.refusals.push(refusal),
    absolved: (_proxy, { name }) => void lists.absolved.push(name),
    served: (_proxy, mark) => void lists.served.push(mark),
    openNames: () => ({ names, close: () => {} }),
    async draining(proxy: ProxyIdentity) {
      lists.events.push(`draining ${proxy.name}`)
      return { ok: true, value: undefined }
    },
    envoyExited: async (proxy, _credentials, exit) =>
      void lists.events.push(`exited ${proxy.name} ${exit.code} ${exit.signal}`),
    trace: (_stream, entry) => void trace.push({ at: performance.now(), entry }),
    ...options.deps,
  }
  const start = (port: number) =>
    startXdsServer(deps, {
      host: '127.0.0.1',
      port,
      tls: { ...certificate, authority: certificate.certificate },
      ads: { drainMs: 1_000, retryMs: 200, ...options.ads },
    })
  let server = await start(0)
  return {
    get server() {
      return server
    },
    certificate,
    table,
    names,
    trace,
    ...lists,
    forget: () => void trace.splice(0),
    sent: () => trace.map(({ entry }) => entry).filter((entry) => entry.type === 'send'),
    async restart() {
      const { port } = server
      await server[Symbol.asyncDispose]()
      server = await start(port)
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

export interface Envoy extends AsyncDisposable {
  readonly process: ChildProcess
  readonly log: string[]
  admin(path: string, method?: string): Promise<string>
}

/** A real Envoy that asked our server for its bootstrap. */
export async function startEnvoy(zone: Zone, name = 'proxy-1', token?: string): Promise<Envoy> {
  const workdir = await mkdtemp(join(tmpdir(), 'envoy-'))
  const binary = await findEnvoy(
    { env: process.env, progress: (line) => process.stderr.write(`${line}\n`) },
    new AbortController().signal,
  )
  const body = {
    mesh: 'default',
    name,
    proxyType: 'dataplane',
    workdir,
    dataplaneToken: token ?? '',
    zonemesh: { canBindPort80: false },
  }
  const answer = await postBootstrap(zone, body)
  if (answer.status !== 200) throw new Error(`bootstrap: ${answer.status} ${answer.body}`)
  const { bootstrap } = JSON.parse(answer.body) as { bootstrap: string } // the format of every bootstrap response
  const file = join(workdir, 'bootstrap.json')
  await writeFile(file, Buffer.from(bootstrap, 'base64'))
  const args = [
    '--config-path',
    file,
    '--concurrency',
    '1',
    '--disable-hot-restart',
    '--log-level',
    'warn',
    '--drain-time-s',
    '1',
    '--drain-strategy',
    'immediate',
  ]
  const child = spawn(binary, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  const log: string[] = []
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log.push(...text.split('\n'))
    if (process.env['SHOW_ENVOY']) process.stderr.write(text)
  })
  const exited = new Promise((resolve) => child.once('exit', resolve))
  const socketPath = join(workdir, 'kuma-envoy-admin.sock')
  return {
    process: child,
    log,
    admin: async (path, method = 'GET') => (await fetchText({ socketPath, path, method })).body,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await exited
      await rm(workdir, { recursive: true, force: true })
    },
  }
}

export interface Answer {
  readonly status: number
  readonly body: string
  readonly headers: IncomingMessage['headers']
}

export function postBootstrap(
  zone: Zone,
  body: unknown,
  options: { path?: string; host?: string; accept?: string } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    const headers = {
      'content-type': 'application/json',
      accept: options.accept ?? 'application/json',
      host: options.host ?? `127.0.0.1:${zone.server.port}`,
    }
    httpsRequest(
      {
        host: '127.0.0.1',
        port: zone.server.port,
        servername: 'localhost',
        path: options.path ?? '/bootstrap',
        method: 'POST',
        ca: zone.certificate.certificate,
        headers,
      },
      (response) => void collect(response).then(resolve, reject),
    )
      .on('error', reject)
      .end(text)
  })
}

/** GET of a port of Envoy (or its admin socket); rejects when the connection is refused or reset. */
export function fetchText(options: {
  port?: number
  path?: string
  method?: string
  socketPath?: string
  host?: string
  hostHeader?: string
  tls?: boolean
}): Promise<Answer> {
  const { hostHeader, tls, ...rest } = options
  return new Promise((resolve, reject) => {
    const send = tls ? httpsRequest : httpRequest
    send(
      {
        ...rest,
        ...(rest.socketPath ? {} : { host: rest.host ?? '127.0.0.1' }),
        agent: false,
        headers: { host: hostHeader ?? 'any' },
        ...(tls ? { rejectUnauthorized: false } : {}),
      },
      (response) => void collect(response).then(resolve, reject),
    )
      .on('error', reject)
      .end()
  })
}

async function collect(response: IncomingMessage): Promise<Answer> {
  let body = ''
  for await (const chunk of response.setEncoding('utf8')) body += chunk
  return { status: response.statusCode ?? 0, body, headers: response.headers }
}

export interface Upstream extends AsyncDisposable {
  readonly port: number
}

interface UpstreamOptions {
  handle?(request: IncomingMessage): number
  /** Delays the response until `done` is called. */
  hold?(request: IncomingMessage, done: () => void): void
}

/** A server that answers every request with its name. */
export function startUpstream(name: string, options: UpstreamOptions = {}): Promise<Upstream> {
  const server = createServer((request, response) => {
    const done = () => void response.writeHead(options.handle?.(request) ?? 200).end(name)
    if (options.hold) options.hold(request, done)
    else done()
  })
  return listen(server)
}

export const startTlsUpstream = (name: string, { certificate, key }: Certificate): Promise<Upstream> =>
  listen(createTlsServer({ cert: certificate, key }, (_request, response) => void response.end(name)))

async function listen(server: Server): Promise<Upstream> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return {
    port: address !== null && typeof address === 'object' ? address.port : 0,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Waits until the condition returns a value. The deadline only stops a broken build and is not part of any rule. */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  deadlineMs = 10_000,
): Promise<NonNullable<T>> {
  const end = performance.now() + deadlineMs
  let last: unknown
  while (performance.now() < end) {
    try {
      const value = await condition()
      if (value) return value
      last = value
    } catch (error) {
      last = error
    }
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  throw new Error(`not within ${deadlineMs} ms: ${what} (last: ${String(last)})`)
}

/** The response body of a port, or its status in brackets, or the reason why there was none. */
export async function probe(port: number, tls = false): Promise<string> {
  try {
    const answer = await fetchText({ port, tls })
    return answer.status === 200 ? answer.body : `[${answer.status}]`
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error) // errors of node:net carry a code
  }
}

let nextPort = 20_000 + (process.pid % 100) * 100

/** A port below the ephemeral range on which nothing listens. */
export async function freePort(): Promise<number> {
  for (;;) {
    nextPort += 1
    const port = nextPort
    const taken = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1')
      socket.once('connect', () => {
        socket.destroy()
        resolve(true)
      })
      socket.once('error', () => resolve(false))
    })
    if (!taken) return port
  }
}
