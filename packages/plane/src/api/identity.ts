import type { IncomingHttpHeaders } from 'node:http'
import { adminScheme, isAdminProof } from '@zonemesh/shared/auth/admin-proof.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Tokens } from '../tokens/tokens.ts'
import { ApiError } from './errors.ts'

/** Who a request comes from. */
export interface User {
  readonly name: string
  readonly groups: readonly string[]
}

export const adminGroup = 'mesh-system:admin'
const authenticatedGroup = 'mesh-system:authenticated'
export const anonymous: User = { name: 'mesh-system:anonymous', groups: ['mesh-system:unauthenticated'] }
export const admin: User = { name: 'mesh-system:admin', groups: [adminGroup, authenticatedGroup] }

export const isAdmin = (user: User): boolean => user.name === admin.name || user.groups.includes(adminGroup)

/** True of an address that only this machine reaches. */
export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host) || /^::ffff:127\./.test(host)

/** Host without port and brackets: `[::1]:5681` → `::1`. */
export const hostName = (authority: string): string => authority.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')

function originIsOurs(origin: string, host: string): boolean {
  if (!URL.canParse(origin)) return false
  const url = new URL(origin)
  return /^https?:$/.test(url.protocol) && url.origin === origin && isLoopback(hostName(url.host)) && url.host === host
}

/** Headers that a proxy adds, also where it hides whom it speaks for. */
const isOfProxy = (name: string): boolean =>
  /^(x-forwarded(-.*)?|forwarded|via|x-real-ip|x-client-ip|x-envoy-.*)$/.test(name)

/**
 * Localhost is admin by the rules of Kuma: the peer is loopback, no proxy header, a loopback
 * Host, no cross-site browser request. A TCP proxy adds no header, so this counts only where every
 * listener of the API is bound to loopback, or where it was asked for.
 */
export function isLocalAdmin(peer: string | undefined, headers: IncomingHttpHeaders): boolean {
  const { host = '', origin } = headers
  const site = headers['sec-fetch-site']
  return (
    peer !== undefined &&
    isLoopback(peer) &&
    !Object.keys(headers).some(isOfProxy) &&
    isLoopback(hostName(host)) &&
    (site === undefined || site === 'same-origin' || site === 'none') &&
    (origin === undefined || originIsOurs(origin, host))
  )
}

interface Request {
  readonly peer: string | undefined
  readonly headers: IncomingHttpHeaders
  readonly method: string
  /** The path with its query. */
  readonly path: string
}

interface IdentifyDeps {
  readonly tokens: Tokens
  readonly localhostIsAdmin: boolean
  /** Whoever can read it administers this plane. */
  readonly adminKey: string
  readonly clock: Clock
}

/** Finds out who is asking. A token that is not good is 401, even where anybody may read. */
export async function identify(deps: IdentifyDeps, request: Request): Promise<User> {
  if (deps.localhostIsAdmin && isLocalAdmin(request.peer, request.headers)) return admin
  const header = request.headers.authorization
  if (header === undefined) return anonymous
  if (header.startsWith(`${adminScheme} `)) {
    const proven = { ...request, host: request.headers.host ?? '' }
    if (isAdminProof(deps.adminKey, deps.clock.wallMs(), proven, header)) return admin
    throw new ApiError(
      401,
      'Invalid authentication data',
      'Unauthenticated: expected a proof made just now with the admin.key of this control plane, found another one',
    )
  }
  const token = header.replace(/^Bearer\s+/i, '').trim()
  const claims = await deps.tokens.verify('user', '', token)
  if (!claims.ok) throw new ApiError(401, 'Invalid authentication data', `Unauthenticated: ${claims.error}`)
  const groups = Array.isArray(claims.value['Groups']) ? claims.value['Groups'].map(String) : []
  return { name: String(claims.value['Name']), groups: [...groups, authenticatedGroup] }
}

/** What a plane lets callers do who show neither a token nor the admin key. */
export interface AnonymousRules {
  readonly anonymous: 'none' | 'read'
  readonly isOwnHost: (authority: string) => boolean
}

/** Refuses a request of somebody unknown: all of them where anonymous reading is off, and those by a name that is not the plane's. */
export function requireKnown(user: User, { anonymous: rule, isOwnHost }: AnonymousRules, host: string): void {
  if (user !== anonymous) return
  if (!isOwnHost(host)) {
    const name = hostName(host)
    const detail = `expected a Host that is an address or a name of this control plane, found ${JSON.stringify(name)}: name it with --api-hosts, or show a token`
    throw new ApiError(403, 'Access Denied', detail)
  }
  if (rule === 'none')
    throw new ApiError(
      401,
      'Invalid authentication data',
      'Unauthenticated: a token is required, as anonymous reading is off (--anonymous none)',
      [],
      { 'WWW-Authenticate': 'Bearer' },
    )
}

/** Refuses a request that only an admin may make. */
export function requireAdmin(user: User, action: string): void {
  if (isAdmin(user)) return
  throw new ApiError(403, 'Access Denied', `user "${user.name}/${user.groups.join(',')}" cannot ${action}`)
}
