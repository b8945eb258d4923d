import { expectPort } from '../kinds/expect.ts'
import type { RouteRedirect } from '../kinds/mesh-gateway-route-spec.ts'
import { redirectStatuses } from '../kinds/route-checks.ts'
import type { PathMatch, RedirectAction, RedirectStatus } from '../model/model.ts'
import { pathChangeOf } from './rules.ts'

/** How clients reach a listener: what a redirect goes by where it says nothing itself. */
export interface ListenerOrigin {
  readonly scheme: 'http' | 'https'
  readonly port: number
  /** The way here is another than the client's own: a redirect must say the scheme, which Envoy would get wrong. */
  readonly saysScheme: boolean
}

const impliedPorts = { http: 80, https: 443 } as const

/**
 * A redirect as a listener answers it. The port is the one that is given, else that of the given scheme, else the
 * listener's; it is not written where the scheme implies it.
 */
export function redirectOf(redirect: RouteRedirect, origin: ListenerOrigin, path: PathMatch): RedirectAction {
  const scheme = schemeOf(redirect.scheme)
  const implied = impliedPorts[scheme ?? origin.scheme]
  const number = redirect.port ? expectPort('redirect.port', redirect.port) : scheme ? implied : origin.port
  const isImplied = number === implied
  const host = redirect.hostname ? redirect.hostname : undefined
  // Where nothing is said of it, the port by which the client came, which may be another outside, is as good.
  const isLeftOut = isImplied && (host !== undefined || (!redirect.port && scheme === undefined))
  const change = pathChangeOf(redirect.path ?? {}, path)
  return {
    type: 'redirect',
    status: statusOf(redirect.statusCode),
    ...(scheme ? { scheme } : origin.saysScheme ? { scheme: origin.scheme } : {}),
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
