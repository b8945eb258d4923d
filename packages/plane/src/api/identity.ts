import type { IncomingHttpHeaders } from 'node:http'
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

const loopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host) || /^::ffff:127\./.test(host)

/** Host without port and brackets: `[::1]:5681` → `::1`. */
const hostName = (authority: string): string => authority.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')

function originIsOurs(origin: string, host: string): boolean {
  if (!URL.canParse(origin)) return false
  const url = new URL(origin)
  return /^https?:$/.test(url.protocol) && url.origin === origin && loopback(hostName(url.host)) && url.host === host
}

/**
 * Localhost is admin, by all the rules of the REST reference §1.3: the peer is loopback, no proxy header, a loopback
 * Host, no cross-site browser request.
 */
export function isLocalAdmin(peer: string | undefined, headers: IncomingHttpHeaders): boolean {
  const { host = '', origin } = headers
  const site = headers['sec-fetch-site']
  return (
    peer !== undefined &&
    loopback(peer) &&
    headers['forwarded'] === undefined &&
    headers['x-forwarded-for'] === undefined &&
    headers['x-real-ip'] === undefined &&
    loopback(hostName(host)) &&
    (site === undefined || site === 'same-origin' || site === 'none') &&
    (origin === undefined || originIsOurs(origin, host))
  )
}

interface Request {
  readonly peer: string | undefined
  readonly headers: IncomingHttpHeaders
}

/** Finds out who is asking. A token that is not good is 401, even where anybody may read. */
export async function identify(
  deps: { readonly tokens: Tokens; readonly localhostIsAdmin: boolean },
  request: Request,
): Promise<User> {
  if (deps.localhostIsAdmin && isLocalAdmin(request.peer, request.headers)) return admin
  const header = request.headers.authorization
  if (header === undefined) return anonymous
  const token = header.replace(/^Bearer\s+/i, '').trim()
  const claims = await deps.tokens.verify('user', '', token)
  if (!claims.ok) throw new ApiError(401, 'Invalid authentication data', `Unauthenticated: ${claims.error}`)
  const groups = Array.isArray(claims.value['Groups']) ? claims.value['Groups'].map(String) : []
  return { name: String(claims.value['Name']), groups: [...groups, authenticatedGroup] }
}

/** Refuses a request that only an admin may make. */
export function requireAdmin(user: User, action: string): void {
  if (isAdmin(user)) return
  throw new ApiError(403, 'Access Denied', `user "${user.name}/${user.groups.join(',')}" cannot ${action}`)
}
