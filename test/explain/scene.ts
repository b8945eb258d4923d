import { compileZone } from '@zonemesh/core/explain/compiled-zone.ts'
import type { ProxySight, Sources } from '@zonemesh/core/explain/sources.ts'
import { proxyKinds } from '@zonemesh/core/kinds/proxies.ts'
import { trusts } from '@zonemesh/plane/authority/trust.ts'
import {
  createRoot,
  generateKeys,
  type KeyedCertificate,
  lifetime,
  signIntermediate,
} from '@zonemesh/plane/authority/x509.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { keyText, type Row } from '@zonemesh/shared/resource/resource.ts'

export const nowMs = Date.UTC(2026, 10, 21)
const day = 86_400_000

const row = (origin: string, kind: string, mesh: string, name: string, spec: unknown): Row => ({
  key: { origin, kind, mesh, name },
  stamp: { incarnation: 1, originRevision: 5, createdAtMs: 1_000, modifiedAtMs: 5_000 },
  labels: {},
  spec: spec as JsonObject, // what is written here is JSON
})

const service = 'echo_demo_svc_8080'
const dataplane = (address: string, port: number, name: string, version: string) => ({
  networking: {
    address,
    inbound: [
      {
        port,
        servicePort: 8080,
        serviceAddress: '127.0.0.1',
        tags: { 'kuma.io/service': name, 'kuma.io/protocol': 'http', version },
      },
    ],
  },
})

const roots = new Map<string, KeyedCertificate>()
const rootOf = async (mesh: string) => {
  const root = roots.get(mesh) ?? (await createRoot(mesh, lifetime(nowMs, 365)))
  roots.set(mesh, root)
  return root
}

const authority = async (zone: string, signedBy: KeyedCertificate, mesh = 'default') => {
  const { publicKey } = await generateKeys()
  return {
    zone,
    backend: 'ca-1',
    publicKey,
    certificate: await signIntermediate(signedBy, publicKey, zone, lifetime(nowMs, 30), `spiffe://${mesh}`),
    roots: signedBy.certificate,
    notAfterMs: nowMs + 30 * day,
  }
}

/** A working mesh: a gateway in east, one version of a service in each zone. Tests plant faults in it. */
export async function healthyMesh() {
  const signedBy = await rootOf('default')
  const rows: Row[] = [
    row('global', 'Mesh', '', 'default', {
      mtls: { enabledBackend: 'ca-1', backends: [{ name: 'ca-1', type: 'builtin' }] },
    }),
    row('global', 'Zone', '', 'east', { enabled: true }),
    row('global', 'Zone', '', 'west', { enabled: true }),
    row('global', 'MeshGateway', 'default', 'edge', {
      selectors: [{ match: { 'kuma.io/service': 'edge-gateway' } }],
      conf: {
        listeners: [
          { port: 8080, protocol: 'HTTP', hostname: 'shop.example.com', tags: { port: 'web' } },
          {
            port: 8443,
            protocol: 'HTTPS',
            hostname: 'shop.example.com',
            tls: { mode: 'TERMINATE', certificates: [{ secret: 'shop' }] },
            tags: { port: 'secure' },
          },
          { port: 9000, protocol: 'TCP', tags: { port: 'raw' } },
        ],
      },
    }),
    row('global', 'MeshGatewayRoute', 'default', 'shop', {
      selectors: [
        { match: { 'kuma.io/service': 'edge-gateway', port: 'web' } },
        { match: { 'kuma.io/service': 'edge-gateway', port: 'secure' } },
      ],
      conf: {
        http: {
          hostnames: ['shop.example.com'],
          rules: [
            {
              matches: [{ path: { match: 'PREFIX', value: '/' } }],
              backends: [
                { weight: 9, destination: { 'kuma.io/service': service, version: 'v1' } },
                { weight: 1, destination: { 'kuma.io/service': service, version: 'v2' } },
              ],
            },
            {
              matches: [
                {
                  path: { match: 'PREFIX', value: '/beta' },
                  headers: [{ name: 'x-beta', value: 'yes' }],
                  method: 'POST',
                },
              ],
              backends: [{ destination: { 'kuma.io/service': service } }],
            },
          ],
        },
      },
    }),
    row('global', 'MeshGatewayRoute', 'default', 'raw', {
      selectors: [{ match: { 'kuma.io/service': 'edge-gateway', port: 'raw' } }],
      conf: { tcp: { rules: [{ backends: [{ destination: { 'kuma.io/service': service } }] }] } },
    }),
    row('global', 'TrafficPermission', 'default', 'allow-all', {
      sources: [{ match: { 'kuma.io/service': '*' } }],
      destinations: [{ match: { 'kuma.io/service': '*' } }],
    }),
    row('global', 'AuthorityCertificate', 'default', 'east', await authority('east', signedBy)),
    row('global', 'AuthorityCertificate', 'default', 'west', await authority('west', signedBy)),
    row('global', 'GatewayCertificate', 'default', 'shop.east', {
      secret: 'shop',
      zone: 'east',
      keyType: 'ecdsa',
      names: ['shop.example.com'],
      notAfterMs: nowMs + 90 * day,
      fingerprint: 'f',
      sealed: 's',
    }),
    row('east', 'Dataplane', 'default', 'gateway-1', {
      networking: { address: '127.0.0.10', gateway: { type: 'BUILTIN', tags: { 'kuma.io/service': 'edge-gateway' } } },
    }),
    row('east', 'Dataplane', 'default', 'client-1', {
      networking: {
        address: '127.0.0.12',
        inbound: [
          { port: 10_090, servicePort: 3000, serviceAddress: '127.0.0.1', tags: { 'kuma.io/service': 'client' } },
        ],
        outbound: [{ port: 33_033, tags: { 'kuma.io/service': service } }],
        transparentProxying: { reachableServices: [service] },
      },
    }),
    row('east', 'VirtualAddress', 'default', service, { number: 7 }),
    row('east', 'Dataplane', 'default', 'echo-v1', dataplane('127.0.0.11', 10_080, service, 'v1')),
    row('west', 'Dataplane', 'default', 'echo-v2', dataplane('127.0.0.21', 10_080, service, 'v2')),
    row('west', 'ZoneIngress', '', 'ingress-west', {
      networking: { address: '127.0.0.20', port: 10_001, advertisedAddress: '127.0.0.20', advertisedPort: 10_001 },
    }),
    announced('east', 'v1'),
    announced('west', 'v2'),
  ]
  return rows
}

export const announced = (zone: string, version: string): Row =>
  row(zone, 'AvailableService', 'default', `${zone}-${version}`, {
    tags: { 'kuma.io/service': service, 'kuma.io/protocol': 'http', 'kuma.io/zone': zone, version },
    instances: 1,
  })

/** A mesh whose connections leave a zone through its egress, with an egress in east. */
export async function meshWithEgress() {
  const rows = await healthyMesh()
  const at = rows.findIndex(({ key }) => key.kind === 'Mesh')
  const mesh = rows[at]
  if (mesh) rows[at] = { ...mesh, spec: { ...mesh.spec, routing: { zoneEgress: true } } }
  rows.push(row('east', 'ZoneEgress', '', 'egress-east', { networking: { address: '127.0.0.14', port: 10_002 } }))
  return rows
}

/** A second mesh "billing", with a cross-mesh gateway in west and a service behind it. */
export async function twoMeshes() {
  const signedBy = await rootOf('billing')
  const rows = await healthyMesh()
  const address = '127.0.0.22'
  const pay = { 'kuma.io/service': 'pay', 'kuma.io/protocol': 'http' }
  rows.push(
    row('global', 'Mesh', '', 'billing', {
      mtls: { enabledBackend: 'ca-2', backends: [{ name: 'ca-2', type: 'builtin' }] },
    }),
    row('global', 'MeshGateway', 'billing', 'door', {
      selectors: [{ match: { 'kuma.io/service': 'door' } }],
      conf: { listeners: [{ port: 8090, protocol: 'HTTP', crossMesh: true, hostname: 'pay.billing.mesh' }] },
    }),
    row('global', 'MeshGatewayRoute', 'billing', 'pay', {
      selectors: [{ match: { 'kuma.io/service': 'door' } }],
      conf: {
        http: {
          rules: [
            { matches: [{ path: { match: 'PREFIX', value: '/v2' } }], backends: [{ weight: 1, destination: pay }] },
          ],
        },
      },
    }),
    row('global', 'MeshGatewayRoute', 'default', 'pay', {
      selectors: [{ match: { 'kuma.io/service': 'edge-gateway', port: 'web' } }],
      conf: {
        http: {
          hostnames: ['shop.example.com'],
          rules: [
            {
              matches: [{ path: { match: 'PREFIX', value: '/pay' } }],
              filters: [
                { rewrite: { replacePrefixMatch: '/v2' } },
                { requestHeader: { set: [{ name: 'Host', value: 'pay.billing.mesh' }] } },
              ],
              backends: [{ weight: 1, destination: { 'kuma.io/service': 'door', 'kuma.io/mesh': 'billing' } }],
            },
          ],
        },
      },
    }),
    row('global', 'TrafficPermission', 'billing', 'let-in', {
      sources: [{ match: { 'kuma.io/service': 'door' } }],
      destinations: [{ match: { 'kuma.io/service': 'pay' } }],
    }),
    row('global', 'AuthorityCertificate', 'billing', 'east', await authority('east', signedBy, 'billing')),
    row('global', 'AuthorityCertificate', 'billing', 'west', await authority('west', signedBy, 'billing')),
    row('west', 'Dataplane', 'billing', 'door-1', {
      networking: { address, gateway: { type: 'BUILTIN', tags: { 'kuma.io/service': 'door' } } },
    }),
    row('west', 'Dataplane', 'billing', 'pay-1', {
      networking: { address: '127.0.0.23', inbound: [{ port: 10_081, servicePort: 8081, tags: pay }] },
    }),
    row('west', 'AvailableService', 'billing', 'door', {
      tags: {
        'kuma.io/service': 'door',
        'kuma.io/zone': 'west',
        'kuma.io/mesh': 'billing',
        'zonemesh.io/port': '8090',
      },
      instances: 1,
    }),
    row('east', 'VirtualAddress', 'billing', '@pay.billing.mesh', { number: 9 }),
    row('east', 'Dataplane', 'default', 'buyer-1', {
      networking: {
        address: '127.0.0.13',
        inbound: [{ port: 10_091, servicePort: 3001, tags: { 'kuma.io/service': 'buyer' } }],
        outbound: [{ port: 33_090, tags: { 'kuma.io/service': 'door', 'kuma.io/mesh': 'billing' } }],
      },
    }),
  )
  return rows
}

/** The data of all planes for these rows, with proxies that run the configuration that their zones compile. */
export function sourcesOf(rows: readonly Row[]): Sources {
  const travels = ({ key }: Row, zone: string) =>
    key.origin === zone ||
    (key.origin === 'global' &&
      !(key.name.endsWith(zone === 'east' ? 'west' : 'east') && key.kind.endsWith('Certificate'))) ||
    ['AvailableService', 'ZoneIngress'].includes(key.kind)
  const sight = (name: string) => ({
    name,
    revision: 9,
    rows:
      name === 'global' ? rows.filter(({ key }) => key.kind !== 'Refusal') : rows.filter((one) => travels(one, name)),
  })
  const base: Sources = {
    nowMs,
    global: sight('global'),
    zones: new Map(['east', 'west'].map((zone) => [zone, sight(zone)])),
    proxies: new Map(),
    offline: false,
    trusts,
  }
  const proxies = new Map<string, ProxySight>()
  for (const zone of base.zones.values()) {
    const compiled = compileZone(zone, base)
    for (const one of zone.rows) {
      if (one.key.origin !== zone.name || !proxyKinds.has(one.key.kind)) continue
      const accepted = new Map(
        [...(compiled.look(one).table?.resources ?? [])].map(([type, resources]) => [
          type,
          new Map([...resources.values()].map(({ name, version }) => [name, version])),
        ]),
      )
      const facts = { part: 0, canBindPort80: true }
      proxies.set(keyText(one.key), {
        facts,
        connected: true,
        accepted,
        refused: new Map(),
        certificateEndsAtMs: nowMs + day,
      })
    }
  }
  return { ...base, proxies }
}
