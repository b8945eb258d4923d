import { typeUrls } from '@zonemesh/core/emit/table.ts'
import { createRoot, lifetime, signIntermediate } from '@zonemesh/plane/authority/x509.ts'
import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { add, at, edit, type Fault, newer, onPlane, refusing, remove, running } from './plant.ts'
import { meshWithEgress, nowMs } from './scene.ts'

const gateway = 'east/Dataplane/default/gateway-1'
const client = { zone: 'east', gateway: 'client-1' }

export const faults: readonly Fault[] = [
  {
    name: 'a zone that is not among the queried ones',
    from: { zone: 'north', gateway: 'gateway-1' },
    step: 'gateway',
    problem: /zone north does not exist, or it gave no answer/,
    remedy: /east, west/,
  },
  {
    name: 'a gateway that does not exist',
    from: { zone: 'east', gateway: 'gateway-9' },
    step: 'gateway',
    problem: /no gateway "gateway-9"/,
    remedy: /gateway-1 \(edge-gateway\)/,
  },
  {
    name: 'a MeshGateway that selects other tags',
    plant: edit('MeshGateway', 'edge', (spec: { selectors: unknown }) => {
      spec.selectors = [{ match: { 'kuma.io/service': 'edge-gatewy' } }]
    }),
    step: 'gateway',
    problem: /no MeshGateway of mesh default selects Dataplane gateway-1.*edge-gateway/,
    remedy: /edge-gatewy/,
  },
  {
    name: 'a port without a listener',
    url: 'http://shop.example.com:8081/',
    step: 'listener',
    problem: /no listener on port 8081/,
    remedy: /HTTP 8080, HTTPS 8443, TCP 9000/,
  },
  {
    name: 'plain HTTP to a TLS listener',
    url: 'http://shop.example.com:8443/',
    step: 'listener',
    problem: /speaks HTTPS, and the URL has http/,
    remedy: /send the request to https:/,
  },
  {
    name: 'a host that no listener has',
    url: 'http://cart.example.com:8080/',
    step: 'listener',
    problem: /answers for cart\.example\.com: the answer is 404/,
    remedy: /hostnames there are: shop\.example\.com/,
  },
  {
    name: 'a secret that does not exist',
    plant: remove('GatewayCertificate', 'shop.east'),
    url: 'https://shop.example.com:8443/',
    step: 'listener',
    problem: /leaves out the listener on port 8443/,
    remedy: /correct what this message names/,
  },
  {
    name: 'an absent secret beside a listener for any host',
    plant: edit('MeshGateway', 'edge', (spec: { conf: { listeners: { port: number; tls?: object }[] } }) => {
      const secure = spec.conf.listeners.find(({ port }) => port === 8443)
      if (!secure) return
      spec.conf.listeners.push({ ...secure, ...{ hostname: '*' } })
      secure.tls = { mode: 'TERMINATE', certificates: [{ secret: 'gone' }] }
    }),
    url: 'https://shop.example.com:8443/',
    step: 'listener',
    problem: /no listener .* answers for shop\.example\.com: the answer is 421; what is left out: .*secret "gone"/,
    remedy: /correct what is left out/,
  },
  {
    name: 'an expired listener certificate',
    plant: edit('GatewayCertificate', 'shop.east', (spec: { notAfterMs: number }) => {
      spec.notAfterMs = nowMs - 1
    }),
    url: 'https://shop.example.com:8443/',
    step: 'certificate',
    problem: /certificate in Secret shop expired at 2026-11-20/,
    remedy: /renewed/,
  },
  {
    name: 'a listener certificate for another name',
    plant: edit('GatewayCertificate', 'shop.east', (spec: { names: string[] }) => {
      spec.names = ['www.example.org']
    }),
    url: 'https://shop.example.com:8443/',
    step: 'certificate',
    problem: /for www\.example\.org, not for shop\.example\.com/,
    remedy: /put a certificate with that name/,
  },
  {
    name: 'a route that is bound to another listener',
    plant: edit('MeshGatewayRoute', 'shop', (spec: { selectors: unknown }) => {
      spec.selectors = [{ match: { 'kuma.io/service': 'edge-gateway', port: 'wbe' } }]
    }),
    step: 'route',
    problem: /shop would match, but it is not bound.*port=wbe/,
    remedy: /port=web/,
  },
  {
    name: 'a route for other hostnames',
    plant: edit('MeshGatewayRoute', 'shop', (spec: { conf: { http: { hostnames: string[] } } }) => {
      spec.conf.http.hostnames = ['www.example.com']
    }),
    step: 'route',
    problem: /not for shop\.example\.com: its hostnames are www\.example\.com, of which the listener has none/,
    remedy: /add shop\.example\.com to conf\.http\.hostnames/,
  },
  {
    name: 'a path that no route has',
    plant: edit('MeshGatewayRoute', 'shop', (spec: { conf: { http: { rules: { matches: unknown }[] } } }) => {
      for (const rule of spec.conf.http.rules) rule.matches = [{ path: { match: 'PREFIX', value: '/other' } }]
    }),
    step: 'route',
    problem: /has a rule for GET \/cart on shop\.example\.com: the answer is 404/,
    remedy: /add a route/,
  },
  {
    name: 'a header that the request lacks',
    plant: edit('MeshGatewayRoute', 'shop', (spec: { conf: { http: { rules: unknown[] } } }) => {
      spec.conf.http.rules.shift()
    }),
    url: 'http://shop.example.com:8080/beta',
    step: 'route',
    problem: /also requires method POST and header x-beta exact yes/,
    remedy: /send a request that has this/,
  },
  {
    name: 'a route that Envoy refused',
    plant: (rows) => {
      const shop = rows[at(rows, 'MeshGatewayRoute', 'shop')]
      const text = shop ? keyText(shop.key) : ''
      add(
        'Dataplane',
        'gateway-1',
        { kind: 'Quarantine', name: 'q1' },
        { source: text, rowVersion: '1.5', reason: 'it made the compiler fail', atMs: 0, software: 'x' },
      )(rows)
    },
    step: 'route',
    problem: /shop would match, but zone east leaves it out: it made the compiler fail/,
    remedy: /correct the route and apply it again/,
  },
  {
    name: 'no TCP route on a TCP listener',
    plant: remove('MeshGatewayRoute', 'raw'),
    url: 'tcp://any:9000',
    step: 'route',
    problem: /no TCP route is bound to this listener.*there is no MeshGatewayRoute with conf\.tcp/,
    remedy: /port=raw/,
  },
  {
    name: 'a backend that is a dangling reference',
    plant: edit('MeshGatewayRoute', 'shop', (spec: { conf: { http: { rules: { backends: unknown }[] } } }) => {
      for (const rule of spec.conf.http.rules)
        rule.backends = [{ destination: { 'kuma.io/service': 'kuma.io/unresolved-backend' } }]
    }),
    step: 'backend',
    problem: /not a service: the answer is 500/,
    remedy: /name a service/,
  },
  {
    name: 'a service that does not exist',
    plant: edit('MeshGatewayRoute', 'shop', (spec: { conf: { http: { rules: { backends: unknown }[] } } }) => {
      for (const rule of spec.conf.http.rules)
        rule.backends = [{ destination: { 'kuma.io/service': 'ecko_demo_svc_8080' } }]
    }),
    step: 'endpoints',
    problem: /no zone has an instance of ecko_demo_svc_8080: the answer is 503/,
    remedy: /correct the name/,
  },
  {
    name: 'a version without an instance',
    plant: edit('MeshGatewayRoute', 'shop', (spec: { conf: { http: { rules: { backends: unknown }[] } } }) => {
      for (const rule of spec.conf.http.rules)
        rule.backends = [{ destination: { 'kuma.io/service': 'echo_demo_svc_8080', version: 'v3' } }]
    }),
    step: 'endpoints',
    problem: /no instance with .*version=v3: the answer is 503/,
    remedy: /version=v1.*version=v2/,
  },
  {
    name: 'an instance that is not ready',
    plant: edit('Dataplane', 'echo-v1', (spec: { networking: { inbound: { state: string }[] } }) => {
      for (const one of spec.networking.inbound) one.state = 'NotReady'
    }),
    step: 'endpoints',
    problem: /Dataplane echo-v1 reports that echo_demo_svc_8080 is not ready/,
    remedy: /probe/,
  },
  {
    name: 'another zone without an ingress',
    plant: remove('ZoneIngress', 'ingress-west'),
    step: 'ingress',
    problem: /zone west, which has no ZoneIngress/,
    remedy: /with a ZoneIngress in FILE: .*--dataplane-file FILE/,
  },
  {
    name: 'an ingress without advertisedAddress',
    plant: edit('ZoneIngress', 'ingress-west', (spec: { networking: Record<string, unknown> }) => {
      delete spec.networking['advertisedAddress']
      delete spec.networking['advertisedPort']
    }),
    step: 'ingress',
    problem: /no ZoneIngress there has an advertised address/,
    remedy: /advertisedAddress and networking\.advertisedPort/,
  },
  {
    name: 'a disabled zone',
    plant: edit('Zone', 'west', (spec: { enabled: boolean }) => {
      spec.enabled = false
    }),
    step: 'endpoints',
    problem: /zone west, which is disabled/,
    remedy: /enabled: true/,
  },
  {
    name: 'a zone whose Zone resource was deleted',
    plant: remove('Zone', 'west'),
    step: 'endpoints',
    problem: /zone west, which has no Zone resource/,
    remedy: /zonemesh token zone west.*zonemesh zone forget west/,
  },
  {
    name: 'a mesh without mutual TLS, and a service in another zone',
    plant: edit('Mesh', 'default', (spec: Record<string, unknown>) => {
      delete spec['mtls']
    }),
    step: 'endpoints',
    problem: /has no mutual TLS/,
    remedy: /mtls\.backends/,
  },
  {
    name: 'a missing permission',
    plant: remove('TrafficPermission', 'allow-all'),
    step: 'permission',
    problem: /no permission allows edge-gateway .* to call echo_demo_svc_8080: the answer is 403/,
    remedy: /TrafficPermission with a source of kuma\.io\/service=edge-gateway/,
  },
  {
    name: 'a permission for other clients',
    plant: edit('TrafficPermission', 'allow-all', (spec: { sources: unknown }) => {
      spec.sources = [{ match: { 'kuma.io/service': 'backend' } }]
    }),
    step: 'permission',
    problem: /no permission allows edge-gateway/,
    remedy: /apply a TrafficPermission/,
  },
  {
    name: 'two proxies at one address: the wrong SAN',
    plant: edit('Dataplane', 'echo-v1', (spec: { networking: { inbound: { tags: Record<string, string> }[] } }) => {
      const [inbound] = spec.networking.inbound
      if (inbound)
        spec.networking.inbound.unshift({
          ...inbound,
          tags: { 'kuma.io/service': 'other', 'kuma.io/protocol': 'http' },
        })
    }),
    step: 'service',
    problem: /serves other, not echo_demo_svc_8080: the name in its certificate is another one/,
    remedy: /give each its own/,
  },
  {
    name: 'a zone without an authority',
    plant: remove('AuthorityCertificate', 'west'),
    step: 'certificate',
    problem: /zone west has no authority for mesh default/,
    remedy: /zonemesh status/,
  },
  {
    name: 'an expired authority',
    plant: edit('AuthorityCertificate', 'east', (spec: { notAfterMs: number }) => {
      spec.notAfterMs = nowMs - 1
    }),
    step: 'certificate',
    problem: /authority of zone east for mesh default expired/,
    remedy: /renews/,
  },
  {
    name: 'zones with authorities of different roots',
    plant: async (rows) => {
      const other = await createRoot('another mesh', lifetime(nowMs, 365))
      const index = at(rows, 'AuthorityCertificate', 'west')
      const one = rows[index]
      if (!one) return
      const certificate = await signIntermediate(
        other,
        String(one.spec['publicKey']),
        'west',
        lifetime(nowMs, 30),
        'spiffe://default',
      )
      rows[index] = { ...one, spec: { ...one.spec, certificate, roots: other.certificate } }
    },
    step: 'certificate',
    problem: /zone east does not trust the authority of zone west/,
    remedy: /same roots/,
  },
  {
    name: 'an expired certificate of a proxy',
    spoil: (sources) => {
      const sight = sources.proxies.get(gateway)
      return sight
        ? { ...sources, proxies: new Map(sources.proxies).set(gateway, { ...sight, certificateEndsAtMs: nowMs - 1 }) }
        : sources
    },
    step: 'certificate',
    problem: /certificate of Dataplane gateway-1 in zone east expired/,
    remedy: /clocks/,
  },
  {
    name: 'a zone that has an older route than the global',
    spoil: onPlane('global', 'MeshGatewayRoute', 'shop', newer),
    step: 'route',
    problem: /zone east has MeshGatewayRoute shop of revision 5, and the global has revision 7/,
    remedy: /zonemesh status/,
  },
  {
    name: 'a route that the global has deleted, and the zone has not',
    spoil: onPlane('global', 'MeshGatewayRoute', 'shop', () => undefined),
    step: 'route',
    problem: /zone east has MeshGatewayRoute shop .*, and the global has none/,
    remedy: /holds a change/,
  },
  {
    name: 'an ingress that its zone has moved',
    spoil: onPlane('west', 'ZoneIngress', 'ingress-west', (row) =>
      newer({
        ...row,
        spec: {
          networking: { address: '127.0.0.99', port: 10_001, advertisedAddress: '127.0.0.99', advertisedPort: 10_001 },
        },
      }),
    ),
    step: 'ingress',
    problem: /sends the request to 127\.0\.0\.20:10001, where zone west has no ingress/,
    remedy: /behind/,
  },
  {
    name: 'an instance that its zone has removed',
    spoil: onPlane('west', 'Dataplane', 'echo-v2', () => undefined),
    step: 'ingress',
    problem: /has no filter chain for echo_demo_svc_8080\{mesh=default,version=v2\}/,
    remedy: /no ready instance/,
  },
  {
    name: 'a name without a service',
    url: 'http://ecko.demo.svc.8080.mesh/',
    from: client,
    step: 'name',
    problem: /not a name in mesh default of zone east: the answer is NXDOMAIN/,
    remedy: /echo\.demo\.svc\.8080\.mesh/,
  },
  {
    name: 'a port that the name does not have',
    url: 'http://echo.demo.svc.8080.mesh:81/',
    from: client,
    step: 'name',
    problem: /on port 80 and 8080, not on 81/,
    remedy: /port 80, which each name has/,
  },
  {
    name: 'a service that a proxy may not reach',
    plant: edit('Dataplane', 'client-1', (spec: { networking: { transparentProxying: unknown } }) => {
      spec.networking.transparentProxying = { reachableServices: ['other'] }
    }),
    url: 'http://echo.demo.svc.8080.mesh:8080/',
    from: client,
    step: 'listener',
    problem: /may reach only other, not echo_demo_svc_8080/,
    remedy: /reachableServices/,
  },
  {
    name: 'an outbound that does not exist',
    url: 'http://localhost:33034/',
    from: client,
    step: 'listener',
    problem: /no outbound on localhost:33034/,
    remedy: /33033/,
  },
  {
    name: 'an Envoy that has not acknowledged its listener',
    spoil: running(gateway, typeUrls.listener, (versions) => versions.delete('edge:HTTP:8080')),
    step: 'listener',
    problem: /compiled edge:HTTP:8080, and the Envoy of east\/Dataplane\/default\/gateway-1 does not have it/,
    remedy: /has not answered yet/,
  },
  {
    name: 'an Envoy that refuses its listener, because the address is in use',
    spoil: refusing(
      gateway,
      typeUrls.listener,
      'edge:HTTP:8080',
      "cannot bind '127.0.0.10:8080': Address already in use",
    ),
    step: 'listener',
    problem: /refuses edge:HTTP:8080: cannot bind/,
    remedy: /another process .* the proxy tries again/,
  },
  {
    name: 'an Envoy that refuses its route table',
    spoil: refusing(gateway, typeUrls.route, 'edge:HTTP:8080:*', 'Only a single wildcard domain is permitted'),
    step: 'route',
    problem: /refuses edge:HTTP:8080:\*: Only a single wildcard/,
    remedy: /tries every new version/,
  },
  {
    name: 'an Envoy that runs an older route table',
    spoil: running(gateway, typeUrls.route, (versions) => versions.set('edge:HTTP:8080:*', 'older')),
    step: 'route',
    problem: /runs another version of it/,
    remedy: /has not answered yet/,
  },
  {
    name: 'a gateway without a stream',
    spoil: running(gateway, typeUrls.listener, (versions) => versions.clear(), false),
    step: 'listener',
    problem: /does not have it/,
    remedy: /no stream to its zone/,
  },
  {
    name: 'a zone without the egress that the mesh requires',
    scene: meshWithEgress,
    plant: remove('ZoneEgress', 'egress-east'),
    step: 'egress',
    problem: /Mesh default sends what leaves a zone through its egress, and zone east has none/,
    remedy: /with a ZoneEgress in FILE: .*--dataplane-file FILE; or set routing\.zoneEgress: false/,
  },
  {
    name: 'an egress whose Envoy is behind',
    scene: meshWithEgress,
    spoil: running('east/ZoneEgress//egress-east', typeUrls.listener, (versions) => versions.clear()),
    step: 'egress',
    problem: /egress-east does not have it/,
    remedy: /has not answered yet/,
  },
  {
    name: 'an ingress that was removed behind an egress',
    scene: meshWithEgress,
    spoil: onPlane('west', 'ZoneIngress', 'ingress-west', () => undefined),
    step: 'ingress',
    problem: /west has none|no ingress/,
    remedy: /zonemesh status/,
  },
  {
    name: 'an ingress whose Envoy is behind',
    spoil: running('west/ZoneIngress//ingress-west', typeUrls.listener, (versions) =>
      versions.set('inbound:127.0.0.20:10001', 'older'),
    ),
    step: 'ingress',
    problem: /ingress-west runs another version/,
    remedy: /has not answered yet/,
  },
]
