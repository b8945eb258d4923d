import { err, ok, type Result } from '@zonemesh/shared/base/base.ts'
import type { RouteModel } from '../model/model.ts'

/** A request as a user describes it: the URL, and other properties that routes match. */
export interface Request {
  readonly scheme: 'http' | 'https' | 'tcp' | 'tls'
  readonly host: string
  readonly port: number
  /** Without the query. */
  readonly path: string
  readonly query: URLSearchParams
  readonly method: string
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>
}

const defaultPorts: Readonly<Record<string, number>> = { http: 80, https: 443 }

/**
 * Parses `https://shop.example.com:8443/cart?x=1`. The schemes are http, https, tcp and tls; the latter two need a
 * port.
 */
export function readRequest(
  url: string,
  more: { readonly method?: string; readonly headers?: Readonly<Record<string, string>> } = {},
): Result<Request, string> {
  const found = /^(https?|tcp|tls):\/\/(.+)$/.exec(url)
  const scheme = found?.[1]
  if (scheme !== 'http' && scheme !== 'https' && scheme !== 'tcp' && scheme !== 'tls')
    return err(`expected a URL such as http://shop.example.com/cart, found "${url}"`)
  let read: URL
  try {
    read = new URL(`http://${found?.[2]}`)
  } catch {
    return err(`expected a URL such as http://shop.example.com/cart, found "${url}"`)
  }
  // The URL parser drops port 80, so the port is read from the text.
  const explicitPort = /:(\d+)(?:[/?#]|$)/.exec(found?.[2]?.replace(/^\[[^\]]*\]/, '') ?? '')?.[1]
  const port = explicitPort === undefined ? defaultPorts[scheme] : Number(explicitPort)
  if (port === undefined) return err(`expected a port in ${url}: a ${scheme} URL has none by itself`)
  return ok({
    scheme,
    host: read.hostname,
    port,
    path: read.pathname,
    query: read.searchParams,
    method: more.method ?? 'GET',
    headers: new Map(Object.entries(more.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value])),
  })
}

/** The request that a route forwards, with the rewritten host and path. */
export function rewritten(request: Request, { path: matched, action }: RouteModel): Request {
  if (action.type !== 'forward') return request
  const { host, path } = action
  return {
    ...request,
    ...(typeof host === 'object' ? { host: host.literal } : {}),
    ...(path ? { path: path.type === 'full' ? path.path : path.path + request.path.slice(matched.path.length) } : {}),
  }
}

/** The request as its server sees it. A Host header overrides the host of the URL. */
export function asReceived(request: Request): Request {
  const host = request.scheme === 'http' ? request.headers.get('host') : undefined
  return host === undefined ? request : { ...request, host: host.replace(/:\d+$/, '') }
}
