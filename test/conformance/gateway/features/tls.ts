import { type Case, type Feature, prefix, redirect, rule, v1, v2, v3 } from '../feature.ts'

// HTTPS: which certificate a client sees, and which route its request meets.

const terminate = (...secrets: readonly string[]) => ({
  mode: 'TERMINATE',
  certificates: secrets.map((secret) => ({ secret })),
})
const hsts = { 'strict-transport-security': 'max-age=31536000; includeSubDomains' }
const over = (tls: string, path: string, more: Partial<Case>): Case => ({ tls, host: tls, path, ...more })

/** The secrets that these features name, and the names in their certificates. */
export const secrets: Readonly<Record<string, readonly string[]>> = {
  'shop-cert': ['shop.example.com'],
  'wild-cert': ['*.wild.example'],
  'any-cert': ['any.example', 'other.example', 'example.org'],
  'stream-cert': ['tls.example.com'],
}

export const httpsFeatures: readonly Feature[] = [
  {
    name: 'https',
    listeners: [
      { hostname: 'shop.example.com', protocol: 'HTTPS', tls: terminate('shop-cert'), tag: 'shop' },
      { hostname: '*.wild.example', protocol: 'HTTPS', tls: terminate('wild-cert'), tag: 'wild' },
      { protocol: 'HTTPS', tls: terminate('any-cert'), tag: 'any' },
    ],
    routes: [
      {
        listener: 'shop',
        http: [rule(prefix('/'), v1), redirect(prefix('/moved'), { hostname: 'example.org', statusCode: 302 })],
      },
      { listener: 'wild', http: [rule(prefix('/'), v2)] },
      { listener: 'any', hostnames: ['any.example'], http: [rule(prefix('/'), v3)] },
    ],
    cases: [
      over('shop.example.com', '/', { to: v1, answer: { headers: hsts } }),
      over('shop.example.com', '/deep/path?x=1', { to: v1 }),
      over('shop.example.com', '/', { method: 'POST', to: v1 }),
      over('a.wild.example', '/', { to: v2, answer: { headers: hsts } }),
      over('any.example', '/', { to: v3 }),
      over('other.example', '/', { status: 404 }),
      // One connection for several names of a certificate, as browsers do over HTTP/2.
      over('shop.example.com', '/', { host: 'a.wild.example', status: 421 }),
      over('shop.example.com', '/', { host: 'any.example', status: 421 }),
      over('a.wild.example', '/', { host: 'shop.example.com', status: 421 }),
      over('a.wild.example', '/', { host: 'b.wild.example', to: v2 }),
      over('any.example', '/', { host: 'shop.example.com', status: 421 }),
      over('any.example', '/', { host: 'b.wild.example', status: 421 }),
      over('shop.example.com', '/moved', { status: 302, location: 'https://example.org:PORT/moved' }),
      over('shop.example.com', '/', {
        headers: { 'x-forwarded-proto': 'http' },
        to: v1,
        asked: { headers: { 'x-forwarded-proto': 'https' } },
      }),
    ],
  },
  {
    name: 'https-and-http',
    // The usual pair: plain HTTP is sent to HTTPS.
    listeners: [
      { at: 'a', hostname: 'shop.example.com', tag: 'plain' },
      { at: 'b', hostname: 'shop.example.com', protocol: 'HTTPS', tls: terminate('shop-cert'), tag: 'secure' },
    ],
    routes: [
      { listener: 'plain', http: [redirect(prefix('/'), { scheme: 'https', port: 8443, statusCode: 301 })] },
      { listener: 'secure', http: [rule(prefix('/'), v2)] },
    ],
    cases: [
      {
        at: 'a',
        host: 'shop.example.com',
        path: '/cart?x=1',
        status: 301,
        location: 'https://shop.example.com:8443/cart?x=1',
      },
      { at: 'b', tls: 'shop.example.com', host: 'shop.example.com', path: '/cart', to: v2 },
    ],
  },
]

/** A connection that does not use HTTP. */
export interface StreamCase {
  readonly at?: string
  /** The server name for TLS; absent: plain TCP. */
  readonly tls?: string
  /** The service that responds; undefined if the connection is closed. */
  readonly to?: string
  readonly version?: string
  /** The name in the certificate that the client sees. */
  readonly certificate?: string
}
export interface StreamFeature extends Omit<Feature, 'cases'> {
  readonly cases: readonly StreamCase[]
}

export const tcp = 'tcp_demo_svc_9000'
export const tlsService = 'tls_demo_svc_9443'
const passthrough = { mode: 'PASSTHROUGH' }

export const streamFeatures: readonly StreamFeature[] = [
  {
    name: 'tcp',
    listeners: [
      { at: 'a', protocol: 'TCP', tag: 'one' },
      { at: 'b', protocol: 'TCP', tag: 'tagged' },
      { at: 'c', protocol: 'TCP', tag: 'nobody' },
      { at: 'd', protocol: 'TCP', tag: 'weights' },
      { at: 'e', protocol: 'TCP', tag: 'two-rules' },
    ],
    routes: [
      { listener: 'one', tcp: [[{ to: tcp }]] },
      { listener: 'tagged', tcp: [[{ to: tcp, tags: { version: 'b' } }]] },
      {
        listener: 'weights',
        tcp: [
          [
            { to: tcp, tags: { version: 'a' }, weight: 1 },
            { to: tcp, tags: { version: 'b' }, weight: 0 },
          ],
        ],
      },
      { listener: 'two-rules', tcp: [[{ to: tcp, tags: { version: 'a' } }], [{ to: tcp, tags: { version: 'a' } }]] },
    ],
    cases: [
      { at: 'a', to: tcp },
      { at: 'b', to: tcp, version: 'b' },
      { at: 'c' },
      ...Array.from({ length: 6 }, () => ({ at: 'd', to: tcp, version: 'a' })),
      { at: 'e', to: tcp, version: 'a' },
    ],
  },
  {
    name: 'tls',
    listeners: [
      { at: 'a', hostname: 'abc.example.com', protocol: 'TLS', tls: passthrough, tag: 'through' },
      { at: 'a', hostname: '*.example.org', protocol: 'TLS', tls: passthrough, tag: 'through' },
      { at: 'a', hostname: 'tls.example.com', protocol: 'TLS', tls: terminate('stream-cert'), tag: 'ends' },
      { at: 'b', protocol: 'TLS', tls: passthrough, tag: 'through' },
    ],
    routes: [
      { listener: 'through', tcp: [[{ to: tlsService }]] },
      { listener: 'ends', tcp: [[{ to: tcp, tags: { version: 'a' } }]] },
    ],
    cases: [
      { at: 'a', tls: 'abc.example.com', to: tlsService, certificate: 'service.example' },
      { at: 'a', tls: 'x.example.org', to: tlsService, certificate: 'service.example' },
      { at: 'a', tls: 'x.y.example.org', to: tlsService, certificate: 'service.example' },
      { at: 'a', tls: 'tls.example.com', to: tcp, version: 'a', certificate: 'tls.example.com' },
      { at: 'a', tls: 'example.org' },
      { at: 'a', tls: 'other.example.com' },
      { at: 'b', tls: 'whatever.test', to: tlsService, certificate: 'service.example' },
      { at: 'b', tls: 'abc.example.com', to: tlsService, certificate: 'service.example' },
    ],
  },
]
