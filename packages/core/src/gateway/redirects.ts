import { expectPort } from '../kinds/expect.ts'
import type { RouteRedirect } from '../kinds/mesh-gateway-route-spec.ts'
import { redirectStatuses } from '../kinds/route-checks.ts'
import type { PathMatch, RedirectAction, RedirectStatus } from '../model/model.ts'
import { pathChangeOf } from './rules.ts'

/** How clients reach a listener. A redirect uses these values unless it sets its own. */
export interface ListenerOrigin {
  readonly scheme: 'http' | 'https'
  readonly port: number
  /**
   * The scheme of the connection differs from the client's scheme. The redirect must then name the scheme, because
   * Envoy would use the wrong one.
   */
  readonly namesScheme: boolean
}

const impliedPorts = { http: 80, https: 443 } as const

/**
 * The redirect response of a listener. The port is the given one, else the port of the given scheme, else the
 * listener's port. It is omitted if the scheme implies it.
 */
export function redirectOf(redirect: RouteRedirect, origin: ListenerOrigin, path: PathMatch): RedirectAction {
  const scheme = schemeOf(redirect.scheme)
  const implied = impliedPorts[scheme ?? origin.scheme]
  const number = redirect.port ? expectPort('redirect.port', redirect.port) : scheme ? implied : origin.port
  const isImplied = number === implied
  const host = redirect.hostname ? redirect.hostname : undefined
  // If neither port nor scheme is set, the redirect keeps the port of the request. Outside the mesh that port may
  // differ from the listener's.
  const isLeftOut = isImplied && (host !== undefined || (!redirect.port && scheme === undefined))
  const change = pathChangeOf(redirect.path ?? {}, path)
  return {
    type: 'redirect',
    status: statusOf(redirect.statusCode),
    ...(scheme ? { scheme } : origin.namesScheme ? { scheme: origin.scheme } : {}),
    ...(host === undefined ? {} : { host }),
    ...(isLeftOut ? {} : { port: { number, isImplied } }),
    ...(change ? { path: change } : {}),
  }
}

function statusOf(code: number | undefined): RedirectStatus {
  const status = redirectStatuses.find((one) => one === code)
  if (status === undefined) throw new Error(`redirect status code ${code} is not supported`)
  return status
}

function schemeOf(text: string | undefined): 'http' | 'https' | undefined {
  if (!text) return undefined
  const scheme = text.toLowerCase()
  if (scheme === 'http' || scheme === 'https') return scheme
  throw new Error(`redirect.scheme: expected http or https, found ${JSON.stringify(text)}`)
}
