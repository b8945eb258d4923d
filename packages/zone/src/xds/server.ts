import { createServer as createHttpServer } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls'
import {
  Server as GrpcServer,
  ServerCredentials,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { listenError } from '@zonemesh/shared/env/listen-error.ts'
import { defaultConnectionLimits, guardConnections, peerOf } from '@zonemesh/shared/transport/connections.ts'
import { serverLimits } from '@zonemesh/shared/transport/grpc-limits.ts'
import { type AdsOptions, defaultAdsOptions } from './ads-state.ts'
import { answerHttp } from './bootstrap-http.ts'
import type { XdsDeps } from './contract.ts'
import { createProven } from './proven.ts'
import { type AskProxy, createProxyQueries, type ProxyQueries } from './proxy-queries.ts'
import { runSession, type SessionCall } from './proxy-session.ts'
import { type AdsCall, type LiveStream, runStream, type StreamShared } from './stream.ts'

export interface XdsConfig {
  readonly host: string
  /** 0 selects a free port. */
  readonly port: number
  /** PEM of the server's key, its certificate, and the authority that signed it (the same if self-signed). */
  readonly tls: { readonly key: string; readonly certificate: string; readonly authority: string }
  /** The host for Envoys to connect to, instead of the host of their bootstrap request. */
  readonly xdsHost?: string
  readonly xdsPort?: number
  readonly ads?: Partial<Omit<AdsOptions, 'isProven' | 'doubtful'>>
}

export interface XdsServer extends AsyncDisposable {
  readonly port: number
  /** The open streams. */
  live(): readonly Pick<LiveStream, 'proxy' | 'facts' | 'accepted' | 'refused'>[]
  /** Asks the data plane of a proxy over its session. */
  readonly ask: AskProxy
  /** Uses a renewed certificate for new connections. */
  setCertificate(tls: { readonly key: string; readonly certificate: string }): void
}

/**
 * The first request of an Envoy lists all its resources: 16 MiB are 100,000 names. A longer message ends its stream.
 */
const receiveBytesMax = 16 * 1024 * 1024
/** The time for the headers of a bootstrap request, and for the whole request. Beyond it: 408, checked every 2 s. */
const httpLimits = {
  headersTimeout: 5_000,
  requestTimeout: 15_000,
  connectionsCheckingInterval: 2_000,
  maxHeaderSize: 16 * 1024,
}
const raw = (bytes: Buffer): Buffer => bytes
const streaming = (path: string): ServiceDefinition[string] => ({
  path,
  requestStream: true,
  responseStream: true,
  requestSerialize: raw,
  requestDeserialize: raw,
  responseSerialize: raw,
  responseDeserialize: raw,
})
const adsPath = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources'
const sessionPath = '/zonemesh.proxy.v1.Proxy/Session'

/**
 * Starts the zone's TLS port for proxies: bootstrap over HTTP/1.1, ADS and sessions over gRPC. A connection that offers
 * http/1.1 uses it, and a connection that offers only h2 uses gRPC.
 */
export async function startXdsServer(deps: XdsDeps, config: XdsConfig): Promise<XdsServer> {
  const shared: StreamShared = {
    proven: createProven(),
    options: { ...defaultAdsOptions, ...config.ads },
    live: new Map(),
    doubtful: new Map(),
  }
  const queries = createProxyQueries(deps.clock)
  const tls = createTlsServer({
    key: config.tls.key,
    cert: config.tls.certificate,
    minVersion: 'TLSv1.2',
    handshakeTimeout: defaultConnectionLimits.pendingMs,
    ALPNCallback: ({ protocols }) =>
      protocols.includes('http/1.1') ? 'http/1.1' : protocols.includes('h2') ? 'h2' : undefined,
  })
  // A stream is admitted with its token, and a bootstrap with its request. From then on their own limits apply.
  const guard = guardConnections(tls)
  const { grpc, injector } = createGrpc(deps, shared, queries, (peer) => guard.admit(peer))
  const bootstrap = () => ({
    ...(config.xdsHost === undefined ? {} : { xdsHost: config.xdsHost }),
    xdsPort: config.xdsPort ?? portOf(tls),
    certificate: certificate.certificate,
    authority: config.tls.authority,
  })
  let certificate: { readonly key: string; readonly certificate: string } = config.tls
  const bodies = { reading: 0 }
  const http = createHttpServer(httpLimits, (request, response) => {
    guard.admit(peerOf(request.socket))
    answerHttp(deps.bootstrap, bootstrap(), request, response, bodies).catch((error: unknown) => {
      deps.log.error({ error: messageOf(error) }, 'an HTTP answer failed')
      response.destroy()
    })
  })
  tls.on('secureConnection', (socket) => {
    socket.on('error', () => socket.destroy())
    socket.setNoDelay(true)
    socket.setKeepAlive(true, 15_000)
    if (socket.alpnProtocol === 'h2') injector.injectConnection(socket)
    else http.emit('connection', socket)
  })
  await listen(tls, config)
  return {
    port: portOf(tls),
    live: () => [...shared.live.values()],
    ask: queries.ask,
    setCertificate(next) {
      certificate = next
      tls.setSecureContext({ key: next.key, cert: next.certificate, minVersion: 'TLSv1.2' })
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => tls.close(() => resolve()))
      grpc.forceShutdown()
      http.closeAllConnections()
      injector.destroy()
      guard[Symbol.dispose]()
      await closed
    },
  }
}

function createGrpc(
  deps: XdsDeps,
  shared: StreamShared,
  queries: Pick<ProxyQueries, 'open'>,
  admit: (peer: string) => void,
) {
  const grpc = new GrpcServer({
    ...serverLimits,
    'grpc.max_receive_message_length': receiveBytesMax,
    'grpc.max_send_message_length': -1,
    'grpc.keepalive_time_ms': 15_000,
    'grpc.keepalive_timeout_ms': 15_000,
    'grpc.keepalive_permit_without_calls': 1,
  })
  const watch = (what: string, running: Promise<void>) => {
    running.catch((error: unknown) => deps.log.error({ error: messageOf(error) }, `${what} failed`))
  }
  const definition = { ads: streaming(adsPath), session: streaming(sessionPath) }
  const handlers: UntypedServiceImplementation = {
    ads: (call: AdsCall) => watch('an ADS stream', runStream(deps, shared, call, admit)),
    session: (call: SessionCall) => watch('a session', runSession({ ...deps, queries }, call, admit)),
  }
  grpc.addService(definition, handlers)
  return { grpc, injector: grpc.createConnectionInjector(ServerCredentials.createInsecure()) }
}

function listen(tls: TlsServer, config: XdsConfig): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (cause: Error) => reject(listenError(cause, { ...config, what: 'proxies', option: '--proxy-port' }))
    tls.once('error', failed)
    tls.listen(config.port, config.host, () => {
      tls.off('error', failed)
      tls.on('tlsClientError', () => {}) // caused by port scans, so it is not logged
      resolve()
    })
  })
}

function portOf(tls: TlsServer): number {
  const address = tls.address()
  return address !== null && typeof address === 'object' ? address.port : 0
}
