import { isIP } from 'node:net'
import { checkServerIdentity, type PeerCertificate } from 'node:tls'
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { Client, type ClientDuplexStream, credentials, Metadata } from '@grpc/grpc-js'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { type Clock, delay } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import type { Random } from '@zonemesh/shared/env/random.ts'
import { backOffMs, supervise } from '@zonemesh/shared/env/supervise.ts'
import { FromProxySchema, FromZoneSchema, type Names } from '@zonemesh/shared/gen/zonemesh/proxy/v1/proxy_pb.js'
import { createExchange, type QueryHandlers } from '@zonemesh/shared/query/exchange.ts'
import { queryFrom, queryMessage } from '@zonemesh/shared/query/frames.ts'
import { certificateReason } from '@zonemesh/shared/transport/certificates.ts'
import { endpointOf } from './address.ts'

export interface SessionOptions {
  /** The replicas of the zone. After a failure the next one is tried. */
  readonly addresses: readonly [URL, ...URL[]]
  readonly authority: string | undefined
  readonly token: string | undefined
  hello(): Extract<NonNullable<MessageInitShape<typeof FromProxySchema>['message']>, { case: 'hello' }>['value']
  onNames(names: Names): void
  /** What this data plane answers when its zone asks. */
  readonly queries: QueryHandlers
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
const backOff = { minMs: 50, firstMaxMs: 100, maxMs: 2_000 }

type Stream = ClientDuplexStream<Buffer, Buffer>

/** Connects to a replica of the zone when its first stream is opened. */
function createZoneClient(address: URL, authority: string | undefined): Client {
  const root = authority === undefined ? null : Buffer.from(authority)
  const { host, port } = endpointOf(address)
  // TLS allows no IP address as server name. So another name is sent, and the certificate is verified against the
  // address.
  const verify = { checkServerIdentity: (_name: string, peer: PeerCertificate) => checkServerIdentity(host, peer) }
  const secure = isIP(host) ? credentials.createSsl(root, null, null, verify) : credentials.createSsl(root)
  return new Client(host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`, secure, {
    ...(isIP(host) ? { 'grpc.ssl_target_name_override': 'zonemesh' } : {}),
    'grpc.keepalive_time_ms': 15_000,
    'grpc.keepalive_timeout_ms': 15_000,
    'grpc.initial_reconnect_backoff_ms': backOff.firstMaxMs,
    'grpc.max_reconnect_backoff_ms': backOff.maxMs,
    'grpc.max_receive_message_length': 16 * 1024 * 1024,
  })
}

/** Keeps a session with the zone open while this proxy runs. Without a session the proxy continues to work. */
export function openSession(
  deps: { readonly clock: Clock; readonly log: Log; readonly random: Random },
  options: SessionOptions,
): Session {
  const stopped = new AbortController()
  const { addresses, authority } = options
  let at = 0
  const address = (): URL => addresses[at % addresses.length] ?? addresses[0]
  let client = createZoneClient(address(), authority)
  /** The next attempt goes to the next replica. */
  function turn(): void {
    if (addresses.length === 1) return
    at += 1
    client.close()
    client = createZoneClient(address(), authority)
  }
  let stream: Stream | undefined
  let isResponding = false
  let removed = Promise.withResolvers<void>()
  const send = (message: MessageInitShape<typeof FromProxySchema>['message']) => {
    if (message) stream?.write(Buffer.from(toBinary(FromProxySchema, create(FromProxySchema, { message }))))
  }
  const converse = (healthy: () => void): Promise<never> =>
    new Promise((_, reject) => {
      isResponding = false
      const metadata = new Metadata()
      if (options.token !== undefined) metadata.set('authorization', options.token)
      const own = client.makeBidiStreamRequest(path, raw, raw, metadata)
      stream = own
      const exchange = createExchange({
        clock: deps.clock,
        send: (frame) => void (stream === own && send({ case: 'query', value: queryMessage(frame) })),
        turn: () => untilDrained(own),
        handlers: options.queries,
      })
      const failed = (cause: Error) => {
        exchange.close(messageOf(cause))
        reject(cause)
      }
      const answered = () => {
        isResponding = true
        healthy()
      }
      own.on('metadata', answered)
      own.on('data', (bytes: Buffer) => {
        answered()
        const { message } = fromBinary(FromZoneSchema, bytes)
        if (message.case === 'names') options.onNames(message.value)
        if (message.case === 'removed') removed.resolve()
        const query = message.case === 'query' ? queryFrom(message.value) : undefined
        if (query) exchange.receive(query)
      })
      own.on('error', failed).on('end', () => failed(new Error('the zone ended the session')))
      send({ case: 'hello', value: options.hello() })
    })
  /** Names the certificates if the zone's has expired: the text of the library does not. */
  async function explained(cause: unknown): Promise<never> {
    const remedy = 'give the authority of the zone with --ca-cert-file'
    const expected = { ...endpointOf(address()), authorityPem: authority, remedy }
    throw new Error(await certificateReason(cause, expected, stopped.signal), { cause })
  }
  const running = supervise(
    deps.clock,
    {
      attempt: (healthy) => converse(healthy).catch(explained),
      judge({ cause, failures }) {
        stream = undefined
        turn()
        deps.log.debug({ reason: messageOf(cause) }, 'the session with the zone ended; opening a new one')
        return { waitMs: backOffMs(backOff, failures, deps.random.fraction()) }
      },
    },
    stopped.signal,
  )
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
      // The abort is the only end that it has.
      await running.catch(() => undefined)
    },
  }
}

const untilDrained = (stream: Stream): Promise<void> =>
  stream.writableNeedDrain ? new Promise((resolve) => stream.once('drain', resolve)) : Promise.resolve()
