import { isIP } from 'node:net'
import { checkServerIdentity, type PeerCertificate } from 'node:tls'
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { Client, type ClientDuplexStream, credentials, Metadata } from '@grpc/grpc-js'
import { type Clock, delay } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import { FromProxySchema, FromZoneSchema, type Names } from '@zonemesh/shared/gen/zonemesh/proxy/v1/proxy_pb.js'
import { endpointOf } from './address.ts'

export interface SessionOptions {
  readonly address: URL
  readonly authority: string | undefined
  readonly token: string | undefined
  hello(): Extract<NonNullable<MessageInitShape<typeof FromProxySchema>['message']>, { case: 'hello' }>['value']
  onNames(names: Names): void
}

export interface Session extends AsyncDisposable {
  readonly connected: boolean
  envoyExited(code: number, signal: string): void
  /**
   * Reports to the zone that the proxy is stopping. Returns true if the zone confirms the removal of the row within
   * the limit.
   */
  drain(limitMs: number): Promise<boolean>
}

const path = '/zonemesh.proxy.v1.Proxy/Session'
const raw = (bytes: Buffer): Buffer => bytes
const firstWaitMs = 100
const longestWaitMs = 2_000

type Stream = ClientDuplexStream<Buffer, Buffer>

/** Keeps a session with the zone open while this proxy runs. Without a session the proxy continues to work. */
export function openSession(deps: { readonly clock: Clock; readonly log: Log }, options: SessionOptions): Session {
  const stopped = new AbortController()
  const { address, authority } = options
  const root = authority === undefined ? null : Buffer.from(authority)
  const { host, port } = endpointOf(address)
  // TLS allows no IP address as server name. So another name is sent, and the certificate is verified against the
  // address.
  const verify = { checkServerIdentity: (_name: string, peer: PeerCertificate) => checkServerIdentity(host, peer) }
  const secure = isIP(host) ? credentials.createSsl(root, null, null, verify) : credentials.createSsl(root)
  const client = new Client(host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`, secure, {
    ...(isIP(host) ? { 'grpc.ssl_target_name_override': 'zonemesh' } : {}),
    'grpc.keepalive_time_ms': 15_000,
    'grpc.keepalive_timeout_ms': 15_000,
    'grpc.initial_reconnect_backoff_ms': firstWaitMs,
    'grpc.max_reconnect_backoff_ms': longestWaitMs,
    'grpc.max_receive_message_length': 16 * 1024 * 1024,
  })
  let stream: Stream | undefined
  let isResponding = false
  let removed = Promise.withResolvers<void>()
  const send = (message: MessageInitShape<typeof FromProxySchema>['message']) => {
    if (message) stream?.write(Buffer.from(toBinary(FromProxySchema, create(FromProxySchema, { message }))))
  }
  const once = (): Promise<string> =>
    new Promise((resolve) => {
      const metadata = new Metadata()
      if (options.token !== undefined) metadata.set('authorization', options.token)
      stream = client.makeBidiStreamRequest(path, raw, raw, metadata)
      stream.on('metadata', () => {
        isResponding = true
      })
      stream.on('data', (bytes: Buffer) => {
        isResponding = true
        const { message } = fromBinary(FromZoneSchema, bytes)
        if (message.case === 'names') options.onNames(message.value)
        if (message.case === 'removed') removed.resolve()
      })
      stream.on('error', (error) => resolve(error.message)).on('end', () => resolve('the zone ended the session'))
      send({ case: 'hello', value: options.hello() })
    })
  const run = async () => {
    let waitMs = firstWaitMs
    while (!stopped.signal.aborted) {
      isResponding = false
      const reason = await once()
      if (isResponding) waitMs = firstWaitMs
      stream = undefined
      if (stopped.signal.aborted) break
      deps.log.debug({ reason }, 'the session with the zone ended; opening a new one')
      await delay(deps.clock, waitMs, stopped.signal).catch(() => {})
      waitMs = Math.min(waitMs * 2, longestWaitMs)
    }
  }
  const running = run()
  return {
    get connected() {
      return stream !== undefined && isResponding
    },
    envoyExited: (exitCode, signal) => send({ case: 'envoyExited', value: { exitCode, signal } }),
    async drain(limitMs) {
      if (!stream) return false
      removed = Promise.withResolvers()
      send({ case: 'draining', value: {} })
      const timeout = new AbortController()
      const limit = delay(deps.clock, limitMs, timeout.signal).then(
        () => false,
        () => false,
      )
      const isRemoved = await Promise.race([removed.promise.then(() => true), limit])
      timeout.abort()
      return isRemoved
    },
    async [Symbol.asyncDispose]() {
      stopped.abort()
      stream?.cancel()
      client.close()
      await running
    },
  }
}
