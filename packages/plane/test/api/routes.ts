import { ApiError, errorBody } from '@zonemesh/plane/api/errors.ts'
import { admin, type User } from '@zonemesh/plane/api/identity.ts'
import type { ApiPlane } from '@zonemesh/plane/api/plane.ts'
import type { Call, Method } from '@zonemesh/plane/api/route.ts'
import { declareRoutes } from '@zonemesh/plane/api/routes.ts'
import { createMemorySealer } from '@zonemesh/plane/authority/seal.ts'
import { createCatalogue } from '@zonemesh/plane/catalogue/catalogue.ts'
import { shownSpec } from '@zonemesh/plane/status/shown.ts'
import { createKeySource } from '@zonemesh/plane/tokens/keys.ts'
import { createTokens } from '@zonemesh/plane/tokens/tokens.ts'
import { err, type JsonObject } from '@zonemesh/shared/base/base.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { globalOrigin, type ResourceKey, type Row } from '@zonemesh/shared/resource/resource.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'

/** A plane over a memory store that contains the mesh "default". Its callers from localhost are administrators. */
export async function createPlane(changes: Partial<ApiPlane> = {}) {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  const store = changes.store ?? createMemoryStore({ clock, random: createSeededRandom(7) })
  const sealer = createMemorySealer()
  const origin = changes.origin ?? globalOrigin
  const commit = store.commit
  const tokens = createTokens({ clock }, createKeySource({ clock, store, sealer, origin, owns: () => true, commit }))
  const plane: ApiPlane = {
    role: 'global',
    origin,
    globalApi: 'https://global:5682',
    store,
    catalogue: createCatalogue(store),
    tokens,
    sealer,
    clock,
    log: silentLog,
    localhostIsAdmin: true,
    adminKey: 'key',
    anonymousRules: { anonymous: 'read', isOwnHost: () => true },
    placement: { isLoopbackOnly: false, ports: () => new Set([5681]) },
    instanceId: 'one',
    commit,
    insight: () => undefined,
    status: async () => ({}),
    isZoneOnline: () => false,
    askZone: async () => err({ code: 'ended', reason: 'there are no zones in this test' }),
    receipt: async ({ revision, level }) => ({ revision: String(revision), level, complete: true, zones: [] }),
    config: { mode: 'test' },
    join: { pin: 'pin', host: '0.0.0.0' },
    decorate: (kind, row) => shownSpec({ store, sealer, origin }, kind, row),
    ...changes,
  }
  const mesh = { origin: globalOrigin, kind: 'Mesh', mesh: '', name: 'default' }
  await write(plane, [mesh])
  return plane
}

/** Writes rows with these keys and specs. A row of another owner has the stamp of its owner. */
export async function write(
  { store, origin }: Pick<ApiPlane, 'store' | 'origin'>,
  rows: readonly (ResourceKey & { readonly spec?: JsonObject; readonly labels?: Row['labels'] })[],
): Promise<void> {
  const { revision } = await store.head()
  const stamp = { incarnation: 1, originRevision: revision + 1, createdAtMs: 0, modifiedAtMs: 0 }
  const changes = rows.map(({ spec = {}, labels = {}, ...key }) => ({
    ...({ op: 'put', key, labels, spec } as const),
    ...(key.origin === origin ? {} : { stamp }),
  }))
  for (let at = 0; at < changes.length; at += 1000)
    await store.commit({ changes: changes.slice(at, at + 1000), subject: 'test', intent: 'test' })
}

export interface Answered {
  readonly status: number
  /** The body, as a client reads it. */
  // biome-ignore lint/suspicious/noExplicitAny: tests read fields of answers by name.
  readonly json: any
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

/**
 * Calls the handlers of a plane without a server: as an administrator, or as another user. An ApiError is answered as
 * by the server.
 */
export function createCaller(plane: ApiPlane) {
  // A path with fewer parameters is more specific.
  const routes = declareRoutes()
    .map(({ method, path, handler }) => {
      const parts = path.replaceAll('+', '\\+').replace(/:(\w+)/g, '(?<$1>[^/]+)')
      return { method, path, handler, pattern: new RegExp(`^${parts}$`) }
    })
    .sort((a, b) => a.path.split(':').length - b.path.split(':').length)

  return async (
    method: Method,
    url: string,
    body?: unknown,
    { user = admin, headers = {} }: { readonly user?: User; readonly headers?: Record<string, string> } = {},
  ): Promise<Answered> => {
    const [path = '', query] = url.split('?')
    const found = routes.find((one) => one.method === method && one.pattern.test(path))
    if (!found) throw new Error(`no route for ${method} ${path}`)
    const groups = Object.entries(found.pattern.exec(path)?.groups ?? {})
    const params = Object.fromEntries(groups.map(([name, text]) => [name, decodeURIComponent(text)]))
    const request = { protocol: 'http', host: 'plane:5681', url, headers, routeOptions: { url: found.path } }
    const untilClosed = () => new AbortController().signal
    const call = { user, params, query: new URLSearchParams(query), body, request, untilClosed }
    try {
      // Handlers read only these fields of a request.
      const answer = await found.handler(plane, call as unknown as Call)
      const json = answer.text ?? JSON.parse(JSON.stringify(answer.body))
      return { status: answer.status, json, headers: answer.headers ?? {} }
    } catch (thrown) {
      if (!(thrown instanceof ApiError)) throw thrown
      return { status: thrown.status, json: errorBody(thrown), headers: thrown.headers }
    }
  }
}

/** The routes of a new plane. */
export async function createRoutes(changes: Partial<ApiPlane> = {}) {
  const plane = await createPlane(changes)
  return { plane, call: createCaller(plane) }
}

export const timeout = (name: string, connect = '1s', mesh = 'default') => ({
  type: 'Timeout',
  mesh,
  name,
  sources: [{ match: { 'kuma.io/service': '*' } }],
  destinations: [{ match: { 'kuma.io/service': '*' } }],
  conf: { connectTimeout: connect },
})

export const dataplane = (name: string, networking: object = {}) => ({
  type: 'Dataplane',
  mesh: 'default',
  name,
  networking: {
    address: '10.0.0.1',
    inbound: [{ port: 80, tags: { 'kuma.io/service': 'web' } }],
    ...networking,
  },
})
