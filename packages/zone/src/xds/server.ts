import { createServer as createHttpServer } from 'node:http'
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls'
import {
  Server as GrpcServer,
  ServerCredentials,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { runSession, type SessionCall } from '../proxies/session.ts'
import { type AdsOptions, defaultAdsOptions } from './ads-state.ts'
import { answerHttp } from './bootstrap-http.ts'
import type { XdsDeps } from './contract.ts'
import { createProven } from './proven.ts'
import { type AdsCall, runStream, type StreamShared } from './stream.ts'

export interface XdsConfig {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  /** PEM of the server's key, its certificate, and the authority that signed it (the same if self-signed). */
  readonly tls: { readonly key: string; readonly certificate: string; readonly authority: string }
  /** What Envoys are told to connect to instead of the host they asked for their bootstrap. */
  readonly xdsHost?: string
  readonly xdsPort?: number
  readonly ads?: Partial<Omit<AdsOptions, 'isProven' | 'doubtful'>>
}

export interface XdsServer extends AsyncDisposable {
  readonly port: number
  /** Takes a renewed certificate for new connections. */
  setCertificate(tls: { readonly key: string; readonly certificate: string }): void
}

const receiveBytesMax = 16 * 1024 * 1024
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
 * The zone's door for its proxies, one TLS port: bootstrap over HTTP/1.1, ADS and sessions over gRPC. A connection that
 * offers http/1.1 gets it, one that offers h2 alone is gRPC.
 */
export async function startXdsServer(deps: XdsDeps, config: XdsConfig): Promise<XdsServer> {
  const shared: StreamShared = {
    proven: createProven(),
    options: { ...defaultAdsOptions, ...config.ads },
    live: new Map(),
    doubtful: new Map(),
  }
  const { grpc, injector } = createGrpc(deps, shared)
  const tls = createTlsServer({
    key: config.tls.key,
    cert: config.tls.certificate,
    minVersion: 'TLSv1.2',
    ALPNCallback: ({ protocols }) =>
      protocols.includes('http/1.1') ? 'http/1.1' : protocols.includes('h2') ? 'h2' : undefined,
  })
  const bootstrap = () => ({
    ...(config.xdsHost === undefined ? {} : { xdsHost: config.xdsHost }),
    xdsPort: config.xdsPort ?? portOf(tls),
    certificate: certificate.certificate,
    authority: config.tls.authority,
  })
  let certificate: { readonly key: string; readonly certificate: string } = config.tls
  const http = createHttpServer({ headersTimeout: 5_000, requestTimeout: 15_000 }, (request, response) => {
    answerHttp(deps.bootstrap, bootstrap(), request, response).catch((error: unknown) => {
      deps.log.error({ error: messageOf(error) }, 'an HTTP answer failed')
      response.destroy()
    })
  })
  const sockets = new Set<TLSSocket>()
  tls.on('secureConnection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => socket.destroy())
    socket.setNoDelay(true)
    socket.setKeepAlive(true, 15_000)
    if (socket.alpnProtocol === 'h2') injector.injectConnection(socket)
    else http.emit('connection', socket)
  })
  await listen(tls, config)
  return {
    port: portOf(tls),
    setCertificate(next) {
      certificate = next
      tls.setSecureContext({ key: next.key, cert: next.certificate, minVersion: 'TLSv1.2' })
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => tls.close(() => resolve()))
      grpc.forceShutdown()
      http.closeAllConnections()
      for (const socket of sockets) socket.destroy()
      injector.destroy()
      await closed
    },
  }
}

function createGrpc(deps: XdsDeps, shared: StreamShared) {
  const grpc = new GrpcServer({
    'grpc.max_receive_message_length': receiveBytesMax,
    'grpc.max_send_message_length': -1,
    'grpc.keepalive_time_ms': 15_000,
    'grpc.keepalive_timeout_ms': 15_000,
    'grpc.keepalive_permit_without_calls': 1,
    'grpc.max_concurrent_streams': 1_000_000,
  })
  const guard = (what: string, running: Promise<void>) => {
    running.catch((error: unknown) => deps.log.error({ error: messageOf(error) }, `${what} failed`))
  }
  const definition = { ads: streaming(adsPath), session: streaming(sessionPath) }
  const handlers: UntypedServiceImplementation = {
    ads: (call: AdsCall) => guard('an ADS stream', runStream(deps, shared, call)),
    session: (call: SessionCall) => guard('a session', runSession(deps, call)),
  }
  grpc.addService(definition, handlers)
  return { grpc, injector: grpc.createConnectionInjector(ServerCredentials.createInsecure()) }
}

function listen(tls: TlsServer, config: XdsConfig): Promise<void> {
  return new Promise((resolve, reject) => {
    tls.once('error', reject)
    tls.listen(config.port, config.host, () => {
      tls.off('error', reject)
      tls.on('tlsClientError', () => {}) // a port scan is not our fault
      resolve()
    })
  })
}

function portOf(tls: TlsServer): number {
  const address = tls.address()
  return address !== null && typeof address === 'object' ? address.port : 0
}
