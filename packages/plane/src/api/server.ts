import type { IncomingMessage, Server } from 'node:http'
import { type Duplex, Readable } from 'node:stream'
import { unservedReason } from '@zonemesh/core/kinds/unserved.ts'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { listenError } from '@zonemesh/shared/env/listen-error.ts'
import { StoreUnavailableError } from '@zonemesh/shared/store/errors.ts'
import { guardConnections, peerOf } from '@zonemesh/shared/transport/connections.ts'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { boundBodies, parseBody } from './bodies.ts'
import { ApiError, badRequest, errorBody, unavailable } from './errors.ts'
import { createEvents } from './events.ts'
import { anonymous, identify, requireAllowed } from './identity.ts'
import { bodyBytesMax, eventStalledMs, headerBytesMax, headersMs, requestMs, slowCheckMs } from './limits.ts'
import type { ApiPlane } from './plane.ts'
import { jsonText } from './render.ts'
import type { Answer, ApiRoute, Call, DeclaredRoute } from './route.ts'
import { declareRoutes } from './routes.ts'
import { traced } from './traced.ts'

export interface ApiServer {
  /** Every registered route, for tests that call all of them. */
  readonly routes: readonly ApiRoute[]
  /** The port in use, also if the setting is 0. */
  readonly port: number
  readonly tlsPort: number | undefined
  close(): Promise<void>
}

/** Another protocol on the same ports, such as sync over WebSocket. It authenticates its callers itself. */
export interface Upgrades {
  /** Whether to upgrade a request. Other requests are answered as if they had not requested an upgrade. */
  isMine(request: IncomingMessage): boolean
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void
}

export interface ApiConfig {
  readonly host: string
  readonly port: number
  /** Without this there is no TLS port. */
  readonly tls?: { readonly port: number; readonly certificate: string; readonly key: string }
  readonly upgrades?: Upgrades
  /** Called for each request that has ended. */
  readonly observe?: (request: AnsweredRequest) => void
}

/** A request that has ended, for metrics. */
export interface AnsweredRequest {
  readonly method: string
  /** The template of its route; undefined for a path without a route. */
  readonly route: string | undefined
  /** `aborted`: the caller left before the end of the response, as readers of events do. */
  readonly status: number | 'aborted'
  /** Undefined if the caller decided how long it took. */
  readonly durationMs: number | undefined
}

function sendError(plane: ApiPlane, reply: FastifyReply, thrown: unknown): void {
  const error = errorOf(thrown)
  if (error.status >= 500) plane.log.error({ err: thrown }, 'an API request failed')
  reply
    .code(error.status)
    .headers(error.headers)
    .type('application/json')
    .send(jsonText(errorBody(error)))
}

function errorOf(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown
  if (isStoreFailure(thrown)) return unavailable()
  const status = statusOf(thrown)
  if (status === 413) return new ApiError(413, 'Bad Request', `the body is larger than ${bodyBytesMax} bytes`)
  if (status === 415) return new ApiError(415, 'Bad Request', 'expected Content-Type application/json')
  if (status < 500) return badRequest(messageOf(thrown))
  return new ApiError(500, 'Internal Server Error', 'Internal Server Error')
}

/**
 * Failures that operators can repair while the plane runs: an unreachable database; a full, read-only or failing
 * disk.
 */
function isStoreFailure(thrown: unknown): boolean {
  if (thrown instanceof StoreUnavailableError) return true
  if (!(thrown instanceof Error)) return false
  const code: unknown = 'code' in thrown ? thrown.code : undefined
  return (typeof code === 'string' && storeFailures.has(code)) || isStoreFailure(thrown.cause)
}
const storeFailures = new Set(['ERR_SQLITE_ERROR', 'ENOSPC', 'EFBIG', 'EDQUOT', 'EIO', 'EROFS'])

function statusOf(thrown: unknown): number {
  const status: unknown = thrown instanceof Error && 'statusCode' in thrown ? thrown.statusCode : undefined
  return typeof status === 'number' ? status : 500
}

/** Serves a declared route: authenticates the caller, runs the handler, and writes the answer. */
function serveRoute(
  app: FastifyInstance,
  plane: ApiPlane,
  events: Pick<ReturnType<typeof createEvents>, 'open'>,
  { method, path, handler, about }: DeclaredRoute,
): void {
  const isPublic = about.access === 'anyone'
  app.route({
    method,
    url: path,
    handler: async (request, reply) => {
      const { headers, method, url: requested } = request
      const caller = { peer: request.socket.remoteAddress, headers, method, path: requested }
      const user = isPublic ? anonymous : await identify(plane, caller)
      const { isOwnHost } = plane.anonymousRules
      const rules = isPublic ? ({ anonymous: 'read', isOwnHost } as const) : plane.anonymousRules
      requireAllowed(user, rules, headers.host ?? '')
      const call: Call = {
        user,
        // Fastify passes all route parameters as strings.
        params: request.params as Record<string, string>,
        query: new URLSearchParams(request.url.split('?')[1] ?? ''),
        body: request.body,
        request,
        untilClosed() {
          const closed = new AbortController()
          reply.raw.once('close', () => closed.abort())
          return closed.signal
        },
        openEvents: () => events.open(call),
      }
      const asked = { method, path, traceparent: headers['traceparent'] }
      const answer = await traced(
        plane,
        asked,
        (own) => handler(own, call),
        (thrown) => errorOf(thrown).status,
      )
      reply.code(answer.status).headers(answer.headers ?? {})
      if (answer.stream) return sendEvents(reply, answer.stream)
      if (answer.text !== undefined) return reply.type('text/plain').send(answer.text)
      return reply.type('application/json').send(jsonText(answer.body))
    },
  })
}

/** Sends events until the caller leaves or takes nothing any more. Node then closes the connection. */
function sendEvents(reply: FastifyReply, stream: NonNullable<Answer['stream']>): FastifyReply {
  const left = new AbortController()
  reply.raw.once('close', () => left.abort())
  // The caller may have left while its request was judged.
  if (reply.raw.destroyed) left.abort()
  reply.raw.setTimeout(eventStalledMs)
  return reply
    .headers({ 'Cache-Control': 'no-store' })
    .type('text/event-stream')
    .send(Readable.from(stream(left.signal), { objectMode: false, highWaterMark: eventBufferBytes }))
}
const eventBufferBytes = 16 * 1024

/** The longest part of a path, such as a name. */
const paramLengthMax = 400

function createApp(
  plane: ApiPlane,
  tls: ApiConfig['tls'],
  { upgrades, observe }: Pick<ApiConfig, 'upgrades' | 'observe'>,
): { readonly app: FastifyInstance; readonly routes: readonly ApiRoute[] } {
  const http = {
    maxHeaderSize: headerBytesMax,
    headersTimeout: headersMs,
    connectionsCheckingInterval: slowCheckMs,
    shouldUpgradeCallback: (request: IncomingMessage) => upgrades?.isMine(request) ?? false,
  }
  const options = {
    bodyLimit: bodyBytesMax,
    logger: false,
    requestTimeout: requestMs,
    keepAliveTimeout: 120_000,
    forceCloseConnections: true,
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: paramLengthMax },
    // Such a path reaches no route.
    frameworkErrors: (error: Error, _request: unknown, reply: FastifyReply) => {
      const refusal =
        statusOf(error) === 414
          ? new ApiError(414, 'Bad Request', `a part of the path is longer than ${paramLengthMax} characters`)
          : badRequest('the path is not a valid URL')
      sendError(plane, reply, refusal)
    },
  } as const
  // The two forms differ only in the type of the server, which handlers do not use.
  const app = (
    tls
      ? Fastify({ ...options, https: { ...http, cert: tls.certificate, key: tls.key, handshakeTimeout: requestMs } })
      : Fastify({ ...options, http })
  ) as FastifyInstance
  if (upgrades) app.server.on('upgrade', (request, socket, head) => upgrades.upgrade(request, socket, head))
  const events = createEvents(plane)
  // Before all connections are closed.
  app.addHook('preClose', () => events.close())
  boundConnections(app)
  boundBodies(app)
  if (observe) reportRequests(app, observe)
  const registered: ApiRoute[] = []
  app.addHook('onRoute', ({ method, url }) => {
    for (const one of [method].flat()) registered.push({ method: one, path: url })
  })
  app.removeContentTypeParser('text/plain')
  app.removeContentTypeParser('application/json')
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
    try {
      done(null, parseBody(String(body)))
    } catch (thrown) {
      done(thrown instanceof Error ? thrown : badRequest(messageOf(thrown)))
    }
  })
  app.setErrorHandler((thrown, _request, reply) => sendError(plane, reply, thrown))
  app.addHook('onRequest', async (request) => requireAccepted(request))
  for (const route of declareRoutes()) serveRoute(app, plane, events, route)
  const routes = registered.filter(({ method }) => method !== 'HEAD')
  refuseOtherMethods(app, routes)
  app.setNotFoundHandler((request, reply) => {
    const unserved = unservedReason(collectionIn(request.url))
    if (unserved !== undefined) return sendError(plane, reply, new ApiError(404, 'Could not find a kind', unserved))
    return reply.code(404).type('text/plain; charset=utf-8').send('404: Page Not Found')
  })
  return { app, routes }
}

function reportRequests(app: FastifyInstance, observe: (request: AnsweredRequest) => void): void {
  app.addHook('onResponse', async ({ method, routeOptions }, reply) => {
    const isStream = String(reply.getHeader('content-type')).startsWith('text/event-stream')
    const durationMs = isStream ? undefined : reply.elapsedTime
    observe({ method, route: routeOptions.url, status: reply.statusCode, durationMs })
  })
  app.addHook('onRequestAbort', async ({ method, routeOptions }) => {
    observe({ method, route: routeOptions.url, status: 'aborted', durationMs: undefined })
  })
}

/** Refuses a caller that accepts neither JSON nor text, or events where there are some. */
function requireAccepted({ headers: { accept }, url }: FastifyRequest): void {
  const isEvents = url.startsWith('/_events') && accept?.includes('text/event-stream')
  if (!accept || isEvents || /json|\*\/\*|text\/plain/.test(accept)) return
  const detail = `expected Accept to allow application/json, found ${JSON.stringify(accept)}`
  throw new ApiError(406, 'Bad Request', detail)
}

/** Refuses another verb on a known path with 405 and Kuma's text. */
function refuseOtherMethods(app: FastifyInstance, routes: readonly ApiRoute[]): void {
  const methodsByPath = Map.groupBy(routes, ({ path }) => path)
  for (const [path, known] of methodsByPath) {
    for (const method of ['GET', 'PUT', 'POST', 'DELETE', 'PATCH'] as const) {
      if (known.some((one) => one.method === method)) continue
      app.route({
        method,
        url: path,
        handler: (_request, reply) => reply.code(405).type('text/plain').send('405: Method Not Allowed'),
      })
    }
  }
}

/** The name of the collection in `/meshes/<mesh>/<collection>/…` or `/<collection>/…`. */
function collectionIn(url: string): string {
  const [first = '', , third = ''] = (url.split('?')[0] ?? '').split('/').slice(1)
  return first === 'meshes' && third !== '' ? third : first
}

/** Admits a connection with its first request. From then on the limits of requests apply. */
function boundConnections(app: FastifyInstance): void {
  const guard = guardConnections(app.server)
  const admit = (request: IncomingMessage) => guard.admit(peerOf(request.socket))
  app.server.on('request', admit).on('upgrade', admit)
  app.addHook('preClose', async () => guard[Symbol.dispose]())
}

/** Starts the REST API on one or two ports. Throws one sentence if a port cannot be opened. */
export async function startApi(plane: ApiPlane, config: ApiConfig): Promise<ApiServer> {
  const { app: plain, routes } = createApp(plane, undefined, config)
  const secure = config.tls ? createApp(plane, config.tls, config).app : undefined
  await listen(plain, config.host, config.port, ['the HTTP API', '--api-port'])
  if (secure && config.tls) await listen(secure, config.host, config.tls.port, ['the HTTPS API', '--api-tls-port'])
  return {
    routes,
    port: portOf(plain.server),
    tlsPort: secure ? portOf(secure.server) : undefined,
    async close() {
      await Promise.all([plain.close(), secure?.close()])
    },
  }
}

async function listen(
  app: FastifyInstance,
  host: string,
  port: number,
  [what, option]: readonly [string, string],
): Promise<void> {
  try {
    await app.listen({ host, port })
  } catch (cause) {
    throw listenError(cause, { what, host, port, option })
  }
}

function portOf(server: Server): number {
  const address = server.address()
  return address !== null && typeof address === 'object' ? address.port : 0
}
