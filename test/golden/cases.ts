import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { defaultNames } from '@zonemesh/cli/demo/names.ts'
import { fillVariables } from '@zonemesh/cli/files/documents.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { parseAllDocuments } from 'yaml'
import {
  type AnyFeature,
  base,
  gateway,
  mesh,
  meshGateway,
  routesOf,
  services,
} from '../conformance/gateway/documents.ts'
import { echo, type Feature, prefix, rule, v1, v2, v3 } from '../conformance/gateway/feature.ts'
import { backends } from '../conformance/gateway/features/backends.ts'
import { filters } from '../conformance/gateway/features/filters.ts'
import { hostFeatures } from '../conformance/gateway/features/hosts.ts'
import { matching } from '../conformance/gateway/features/matching.ts'
import { httpsFeatures, secrets, streamFeatures } from '../conformance/gateway/features/tls.ts'

/** What one proxy has of these documents stands in `<name>.json`. */
export interface GoldenCase {
  readonly name: string
  readonly documents: readonly JsonObject[]
  /** The key text of the proxy's row. */
  readonly proxy: string
  /** The case whose fields are not repeated where they are the same. */
  readonly base?: string
  /** The documents that no file of YAML holds: they stand in `<name>.yaml`. */
  readonly written?: readonly JsonObject[]
  /** Only the size and the hash of each part are kept. */
  readonly digest?: true
}

const here = import.meta.dirname
const root = join(here, '../..')

const parsed = (text: string): JsonObject[] => parseAllDocuments(text).map((document) => document.toJS() as JsonObject) // YAML of these tests
const read = (file: string): JsonObject[] => parsed(readFileSync(file, 'utf8'))

/** Each zone has its Zone resource, as the command that makes its join string creates it. */
const zones = (...names: readonly string[]): readonly JsonObject[] =>
  names.map((name) => ({ type: 'Zone', name, enabled: true }))

const at = (zone: string, document: JsonObject): JsonObject => ({ ...document, labels: { 'kuma.io/zone': zone } })

// The features of the gateway. Each listener's letter is a port, so that most features share their listener.

const featureScene: readonly JsonObject[] = [
  ...base,
  ...zones('east', 'west'),
  ...Object.keys(secrets).map((secret, index) => ({
    type: 'GatewayCertificate',
    mesh,
    name: `${secret}.east`,
    secret,
    zone: 'east',
    keyType: index % 2 === 0 ? 'rsa' : 'ecdsa',
    names: secrets[secret] ?? [],
    notAfterMs: 1,
    fingerprint: `fingerprint of ${secret}`,
    sealed: 'sealed',
  })),
  ...['east', 'west'].flatMap((zone, zoneIndex) => [
    at(zone, {
      type: 'Dataplane',
      mesh,
      name: `services-${zone}`,
      networking: {
        address: `10.0.${zoneIndex}.1`,
        inbound: services
          .filter((one) => one.zone === zone)
          .map(({ service, version, protocol }, index) => ({
            port: 10_001 + index,
            servicePort: 20_001 + index,
            tags: { 'kuma.io/service': service, 'kuma.io/protocol': protocol === 'http' ? 'http' : 'tcp', version },
          })),
      },
    }),
    at(zone, {
      type: 'ZoneIngress',
      name: `ingress-${zone}`,
      networking: {
        address: `10.0.${zoneIndex}.2`,
        port: 10_001,
        advertisedAddress: `192.168.${zoneIndex}.2`,
        advertisedPort: 10_001,
      },
    }),
  ]),
  at('east', {
    type: 'Dataplane',
    mesh,
    name: 'gateway',
    networking: { address: '10.0.0.3', gateway: { type: 'BUILTIN', tags: { 'kuma.io/service': gateway } } },
  }),
]

function featureCase(feature: AnyFeature, from?: string): GoldenCase {
  const letters = [...new Set((feature.listeners ?? [{}]).map(({ at: letter = 'a' }) => letter))]
  // The name of a cluster follows from the tags of its listener: with the same tags all features have the same clusters.
  const same = { ...feature, name: 'main' }
  const ports = new Map(letters.map((letter, index) => [`main/${letter}`, 8080 + index]))
  const written = [meshGateway([same], ports), ...routesOf(same)]
  return {
    name: `features/${feature.name}`,
    documents: [...featureScene, ...written],
    proxy: `east/Dataplane/${mesh}/gateway`,
    written,
    ...(from === undefined ? {} : { base: from }),
  }
}

/** One route to each service, which has the listener and the clusters that most features need. */
const common: Feature = {
  name: 'common',
  routes: [{ http: [rule(prefix('/1'), v1), rule(prefix('/2'), v2), rule(prefix('/3'), v3), rule(prefix('/'), echo)] }],
  cases: [],
}

const features: readonly GoldenCase[] = [
  featureCase(common),
  ...[...backends, ...filters, ...hostFeatures, ...matching, ...httpsFeatures, ...streamFeatures].map((feature) =>
    featureCase(feature, 'features/common'),
  ),
]

// The roles of proxies.

const rolesOf = (
  scene: string,
  proxies: Readonly<Record<string, string>>,
  bases: Readonly<Record<string, string>> = {},
): readonly GoldenCase[] => {
  const documents = read(join(here, 'roles', `${scene}.yaml`))
  return Object.entries(proxies).map(([name, proxy]) => {
    const from = bases[name]
    return { name: `roles/${scene}-${name}`, documents, proxy, ...(from === undefined ? {} : { base: from }) }
  })
}
const [gatewayBase, sidecarBase] = ['roles/recorded-gateway', 'roles/recorded-sidecar-client']

const roles: readonly GoldenCase[] = [
  ...rolesOf('recorded', {
    gateway: 'east/Dataplane/default/gateway',
    'sidecar-client': 'east/Dataplane/default/client',
    'sidecar-echo': 'west/Dataplane/default/echo',
    ingress: 'west/ZoneIngress//ingress',
    egress: 'east/ZoneEgress//egress',
  }),
  ...rolesOf(
    'policies',
    {
      gateway: 'east/Dataplane/default/gateway',
      sidecar: 'east/Dataplane/default/web',
      delegated: 'east/Dataplane/default/delegated',
      'sidecar-tcp': 'east/Dataplane/default/db-1',
    },
    { delegated: 'roles/policies-sidecar', 'sidecar-tcp': 'roles/policies-sidecar' },
  ),
  ...rolesOf('choice', { gateway: 'east/Dataplane/default/gateway' }, { gateway: gatewayBase }),
  ...rolesOf('plain', { sidecar: 'east/Dataplane/default/web' }, { sidecar: sidecarBase }),
]

// The demo, with the names and numbers of its documents.

const demoFile = (file: string, variables: Readonly<Record<string, string | number>>): JsonObject[] => {
  const values = { ...defaultNames, gatewayPort: 17_288, version: defaultNames.version1, ...variables }
  const texts = Object.fromEntries(Object.entries(values).map(([key, value]) => [key, String(value)]))
  return parsed(fillVariables(readFileSync(join(root, 'demo', file), 'utf8'), texts, file))
}
const demoProxy = (
  zone: string,
  name: string,
  file: string,
  variables: Readonly<Record<string, string | number>> = {},
) => demoFile(`proxies/${file}`, { address: '127.0.0.1', name, ...variables }).map((document) => at(zone, document))
const inboundOf = (port: number) => ({ port, servicePort: port + 100, serviceAddress: '127.0.0.1' })
const demoDocuments: readonly JsonObject[] = [
  ...zones('east', 'west'),
  ...readdirSync(join(root, 'demo/policies'))
    .sort()
    .flatMap((file) => demoFile(`policies/${file}`, {})),
  ...demoProxy('east', 'gateway-1', 'gateway.yaml'),
  ...demoProxy('west', 'ingress-west', 'ingress.yaml', { port: 17_001, advertisedAddress: '127.0.0.1' }),
  ...demoProxy('west', 'echo-1', 'service.yaml', inboundOf(17_002)),
  ...demoProxy('west', 'echo-2', 'service.yaml', { ...inboundOf(17_003), version: defaultNames.version2 }),
  ...demoProxy('east', 'shop-1', 'delegated.yaml'),
  ...demoProxy('east', 'client-1', 'client.yaml', { ...inboundOf(17_004), outboundPort: 17_273 }),
]
const demo: readonly GoldenCase[] = Object.entries({
  gateway: 'east/Dataplane/default/gateway-1',
  client: 'east/Dataplane/default/client-1',
  delegated: 'east/Dataplane/default/shop-1',
  ingress: 'west/ZoneIngress//ingress-west',
  service: 'west/Dataplane/default/echo-1',
}).map(([name, proxy]) => {
  const from = { gateway: gatewayBase, ingress: 'roles/recorded-ingress' }[name] ?? sidecarBase
  return { name: `demo/${name}`, documents: demoDocuments, proxy, base: from }
})

// The documents that users start from.

const printedFolder = join(root, 'test/conformance/documents')

function printedCase(name: string, files: readonly string[], proxy: string, from?: string): GoldenCase {
  const printed = files.flatMap((file) => read(join(printedFolder, file)))
  const around = read(join(here, 'documents/around.yaml'))
  return {
    name: `documents/${name}`,
    documents: [
      ...zones('east'),
      ...around,
      ...printed.map((document) => (document['type'] === 'Dataplane' ? at('east', document) : document)),
    ],
    proxy: `east/Dataplane/default/${proxy}`,
    ...(from === undefined ? {} : { base: from }),
  }
}

/** The files of printed documents, by case. */
const printedFiles = {
  http: ['builtin-dataplane.yaml', 'http-gateway.yaml', 'http-route.yaml'],
  kubernetes: ['builtin-dataplane.yaml', 'kubernetes-gateway-and-route.yaml'],
  tcp: ['builtin-dataplane.yaml', 'tcp-gateway-and-route.yaml'],
  delegated: ['filled-delegated.yaml'],
  'delegated-with-outbound': ['delegated-with-outbound.yaml'],
  'cross-mesh-gateway': ['filled-cross-mesh.yaml'],
  'cross-mesh-client': ['filled-cross-mesh.yaml', 'filled-cross-mesh-outbound.yaml'],
}
export const allPrintedFiles: readonly string[] = [...new Set(Object.values(printedFiles).flat())].sort()

const documents: readonly GoldenCase[] = [
  printedCase('http', printedFiles.http, 'gateway-instance-1', gatewayBase),
  printedCase('kubernetes', printedFiles.kubernetes, 'gateway-instance-1', 'documents/http'),
  printedCase('tcp', printedFiles.tcp, 'gateway-instance-1', 'documents/http'),
  printedCase('delegated', printedFiles.delegated, 'kong-01', sidecarBase),
  printedCase('delegated-with-outbound', printedFiles['delegated-with-outbound'], 'kong-01', 'documents/delegated'),
  printedCase('cross-mesh-gateway', printedFiles['cross-mesh-gateway'], 'cross-mesh-gateway-1', gatewayBase),
  printedCase('cross-mesh-client', printedFiles['cross-mesh-client'], 'web-1', sidecarBase),
]

// A large scene: what changes in it by mistake is named; the small ones show how.

const largeZones = ['east', 'west', 'north']
const largeServices = Array.from({ length: 40 }, (_, index) => `service-${index}_shop_svc_80`)
const largeDocuments: readonly JsonObject[] = [
  ...base,
  ...zones(...largeZones),
  ...largeZones.flatMap((zone, zoneIndex) => [
    at(zone, {
      type: 'ZoneIngress',
      name: `ingress-${zone}`,
      networking: {
        address: `10.${zoneIndex}.0.1`,
        port: 10_001,
        advertisedAddress: `192.168.${zoneIndex}.1`,
        advertisedPort: 10_001,
      },
    }),
    ...largeServices
      .filter((_, index) => index % largeZones.length === zoneIndex || index % 7 === 0)
      .flatMap((service, index) =>
        ['v1', 'v2'].map((version, instance) =>
          at(zone, {
            type: 'Dataplane',
            mesh,
            name: `${service.split('_')[0]}-${version}`,
            networking: {
              address: `10.${zoneIndex}.${index + 1}.${instance + 1}`,
              inbound: [
                {
                  port: 80,
                  servicePort: 8080,
                  tags: { 'kuma.io/service': service, 'kuma.io/protocol': index % 5 === 0 ? 'tcp' : 'http', version },
                },
              ],
            },
          }),
        ),
      ),
  ]),
  {
    type: 'MeshGateway',
    mesh,
    name: 'edge',
    selectors: [{ match: { 'kuma.io/service': gateway } }],
    conf: {
      listeners: ['', ...Array.from({ length: 9 }, (_, index) => `h${index}.example.com`), '*.example.com'].map(
        (hostname) => ({ port: 8080, protocol: 'HTTP', ...(hostname === '' ? {} : { hostname }) }),
      ),
    },
  },
  ...largeServices.map((service, index) => ({
    type: 'MeshGatewayRoute',
    mesh,
    name: `route-${index}`,
    selectors: [{ match: { 'kuma.io/service': gateway } }],
    conf: {
      http: {
        ...(index % 4 === 0 ? {} : { hostnames: [`h${index % 12}.example.com`] }),
        rules: [
          {
            matches: [{ path: { match: index % 3 === 0 ? 'EXACT' : 'PREFIX', value: `/a/${index % 10}` } }],
            backends: [
              { weight: 9, destination: { 'kuma.io/service': service, version: 'v1' } },
              { weight: 1, destination: { 'kuma.io/service': service, version: 'v2' } },
            ],
          },
        ],
      },
    },
  })),
  at('east', {
    type: 'Dataplane',
    mesh,
    name: 'gateway',
    networking: { address: '10.0.0.3', gateway: { type: 'BUILTIN', tags: { 'kuma.io/service': gateway } } },
  }),
]
const large: readonly GoldenCase[] = Object.entries({
  gateway: `east/Dataplane/${mesh}/gateway`,
  ingress: 'east/ZoneIngress//ingress-east',
  sidecar: `east/Dataplane/${mesh}/service-0-v1`,
}).map(([name, proxy]) => ({ name: `large/${name}`, documents: largeDocuments, proxy, digest: true }))

export const goldenCases: readonly GoldenCase[] = [...features, ...roles, ...demo, ...documents, ...large]
