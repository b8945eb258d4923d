import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { anyPack } from '@bufbuild/protobuf/wkt'
import { type TypeUrl, typeUrls, type XdsResource } from '@zonemesh/core/emit/table.ts'
import { ClusterSchema } from '@zonemesh/core/gen/envoy/config/cluster/v3/cluster_pb.js'
import { ClusterLoadAssignmentSchema } from '@zonemesh/core/gen/envoy/config/endpoint/v3/endpoint_pb.js'
import {
  type FilterChain,
  FilterChainSchema,
} from '@zonemesh/core/gen/envoy/config/listener/v3/listener_components_pb.js'
import { ListenerSchema } from '@zonemesh/core/gen/envoy/config/listener/v3/listener_pb.js'
import { RouteConfigurationSchema } from '@zonemesh/core/gen/envoy/config/route/v3/route_pb.js'
import { RouterSchema } from '@zonemesh/core/gen/envoy/extensions/filters/http/router/v3/router_pb.js'
import { HttpConnectionManagerSchema } from '@zonemesh/core/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js'
import { SecretSchema } from '@zonemesh/core/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js'
import {
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from '@zonemesh/core/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js'
import { shortHash } from '@zonemesh/shared/base/base.ts'
import type { ResolvedTable } from '@zonemesh/zone/xds/ads-state.ts'

type Refs = Omit<XdsResource, 'name' | 'bytes' | 'version'>

/** A resource as core would emit it. */
export function resource<Desc extends DescMessage>(
  schema: Desc,
  name: string,
  init: MessageInitShape<Desc>,
  refs: Refs = {},
): XdsResource {
  const bytes = toBinary(schema, create(schema, init))
  return { name, bytes, version: shortHash(bytes), ...refs }
}

export function table(
  mark: number,
  resources: Partial<Record<keyof typeof typeUrls, readonly XdsResource[]>>,
): ResolvedTable {
  const byType = new Map<TypeUrl, ReadonlyMap<string, XdsResource>>()
  for (const [type, list] of Object.entries(resources)) {
    byType.set(typeUrls[type as keyof typeof typeUrls], new Map(list.map((item) => [item.name, item]))) // keys of the parameter's type
  }
  return { mark, resources: byType }
}

const ads = { configSourceSpecifier: { case: 'ads', value: {} }, resourceApiVersion: 2 } as const
/** X23: EDS, RDS and SDS keep a timeout. */
const adsWithTimeout = (seconds = 15) => ({ ...ads, initialFetchTimeout: { seconds: BigInt(seconds), nanos: 0 } })
const seconds = (value: number) => ({ seconds: BigInt(Math.floor(value)), nanos: Math.round((value % 1) * 1e9) })

const socketAddress = (address: string, port: number) =>
  ({
    address: { case: 'socketAddress', value: { address, portSpecifier: { case: 'portValue', value: port } } },
  }) as const

export interface ClusterOptions {
  readonly assignment?: string
  /** Any change of content: a new connect timeout. */
  readonly connectSeconds?: number
  readonly healthCheck?: boolean
  readonly secrets?: { readonly identity: string; readonly authority: string }
  readonly timeoutSeconds?: number
  readonly contributions?: ReadonlyMap<string, string>
}

/** A cluster whose endpoints come from EDS. */
export function cluster(name: string, options: ClusterOptions = {}): XdsResource {
  const assignment = options.assignment ?? name
  const init: MessageInitShape<typeof ClusterSchema> = {
    name,
    clusterDiscoveryType: { case: 'type', value: 3 },
    edsClusterConfig: { serviceName: assignment, edsConfig: adsWithTimeout(options.timeoutSeconds) },
    connectTimeout: seconds(options.connectSeconds ?? 1),
  }
  if (options.healthCheck) {
    init.healthChecks = [
      {
        timeout: seconds(1),
        interval: seconds(1),
        unhealthyThreshold: 1,
        healthyThreshold: 1,
        healthChecker: { case: 'httpHealthCheck', value: { path: '/health' } },
      },
    ]
  }
  const refs: { secrets?: readonly string[] } = {}
  if (options.secrets) {
    refs.secrets = [options.secrets.identity, options.secrets.authority]
    const context = create(UpstreamTlsContextSchema, {
      commonTlsContext: {
        tlsCertificateSdsSecretConfigs: [{ name: options.secrets.identity, sdsConfig: adsWithTimeout() }],
        validationContextType: {
          case: 'validationContextSdsSecretConfig',
          value: { name: options.secrets.authority, sdsConfig: adsWithTimeout() },
        },
      },
    })
    init.transportSocket = {
      name: 'tls',
      configType: { case: 'typedConfig', value: anyPack(UpstreamTlsContextSchema, context) },
    }
  }
  const contributions = options.contributions ? { contributions: options.contributions } : {}
  return resource(ClusterSchema, name, init, { assignment, ...refs, ...contributions })
}

/** A cluster that Envoy refuses: a static one with a hostname in place of an address. */
export const badCluster = (name: string, contributions?: ReadonlyMap<string, string>): XdsResource =>
  resource(ClusterSchema, name, { ...staticInit(name, 'not-an-address', 1) }, contributions ? { contributions } : {})

export const staticCluster = (name: string, port: number, host = '127.0.0.1'): XdsResource =>
  resource(ClusterSchema, name, staticInit(name, host, port))

const staticInit = (name: string, host: string, port: number): MessageInitShape<typeof ClusterSchema> => ({
  name,
  clusterDiscoveryType: { case: 'type', value: 0 },
  connectTimeout: seconds(1),
  loadAssignment: { clusterName: name, endpoints: [{ lbEndpoints: [endpoint(host, port)] }] },
})

const endpoint = (host: string, port: number) =>
  ({
    hostIdentifier: { case: 'endpoint', value: { address: socketAddress(host, port) } },
  }) as const

/** An assignment. Envoy refuses it if the host is not an address. */
export const assignment = (name: string, ports: readonly number[], host = '127.0.0.1'): XdsResource =>
  resource(ClusterLoadAssignmentSchema, name, {
    clusterName: name,
    endpoints: [{ locality: { zone: 'z' }, lbEndpoints: ports.map((port) => endpoint(host, port)) }],
  })

export interface RouteOptions {
  readonly domains?: readonly (readonly string[])[]
  readonly note?: string
  readonly retries?: number
  readonly contributions?: ReadonlyMap<string, string>
}

/** A route table that sends all requests to one cluster. Envoy refuses it with two "*" domains. */
export function route(name: string, to: string, options: RouteOptions = {}): XdsResource {
  const contributions = options.contributions ? { contributions: options.contributions } : {}
  return resource(RouteConfigurationSchema, name, routeInit(name, to, options), { clusters: [to], ...contributions })
}

const routeInit = (
  name: string,
  to: string,
  options: RouteOptions = {},
): MessageInitShape<typeof RouteConfigurationSchema> => ({
  name,
  responseHeadersToAdd: options.note ? [{ header: { key: 'x-note', value: options.note } }] : [],
  virtualHosts: (options.domains ?? [['*']]).map((domains, index) => ({
    name: `host-${index}`,
    domains: [...domains],
    routes: [
      {
        match: { pathSpecifier: { case: 'prefix', value: '/' } },
        action: { case: 'route', value: { clusterSpecifier: { case: 'cluster', value: to }, timeout: seconds(15) } },
      },
    ],
  })),
})

export interface ListenerOptions {
  /** RDS name, or an inline table to a cluster. */
  readonly routes?: string
  readonly inline?: string
  readonly secret?: string
  readonly address?: string
  /** Any change outside the filter chains. */
  readonly statPrefix?: string
  readonly contributions?: ReadonlyMap<string, string>
}

export function listener(name: string, port: number, options: ListenerOptions): XdsResource {
  const refs: {
    routes?: readonly string[]
    clusters?: readonly string[]
    secrets?: readonly string[]
    contributions?: ReadonlyMap<string, string>
  } = {}
  if (options.routes) refs.routes = [options.routes]
  if (options.inline) refs.clusters = [options.inline]
  if (options.secret) refs.secrets = [options.secret]
  if (options.contributions) refs.contributions = options.contributions
  return resource(
    ListenerSchema,
    name,
    {
      name,
      statPrefix: options.statPrefix ?? '',
      enableReusePort: false,
      address: socketAddress(options.address ?? '127.0.0.1', port),
      filterChains: [chain(options)],
    },
    refs,
  )
}

function chain(options: ListenerOptions): FilterChain {
  const manager = create(HttpConnectionManagerSchema, {
    statPrefix: 'http',
    routeSpecifier: options.routes
      ? { case: 'rds', value: { routeConfigName: options.routes, configSource: adsWithTimeout() } }
      : { case: 'routeConfig', value: routeInit('inline', options.inline ?? '') },
    httpFilters: [
      { name: 'router', configType: { case: 'typedConfig', value: anyPack(RouterSchema, create(RouterSchema)) } },
    ],
  })
  const filters = [
    {
      name: 'http',
      configType: { case: 'typedConfig', value: anyPack(HttpConnectionManagerSchema, manager) },
    } as const,
  ]
  if (!options.secret) return create(FilterChainSchema, { filters })
  const context = create(DownstreamTlsContextSchema, {
    commonTlsContext: { tlsCertificateSdsSecretConfigs: [{ name: options.secret, sdsConfig: adsWithTimeout() }] },
  })
  const typedConfig = anyPack(DownstreamTlsContextSchema, context)
  return create(FilterChainSchema, {
    filters,
    transportSocket: { name: 'tls', configType: { case: 'typedConfig', value: typedConfig } },
  })
}

const inline = (text: string) => ({ specifier: { case: 'inlineString', value: text } }) as const

export const certificateSecret = (name: string, certificate: string, key: string): XdsResource =>
  resource(SecretSchema, name, {
    name,
    type: { case: 'tlsCertificate', value: { certificateChain: inline(certificate), privateKey: inline(key) } },
  })

export const authoritySecret = (name: string, certificate: string): XdsResource =>
  resource(SecretSchema, name, { name, type: { case: 'validationContext', value: { trustedCa: inline(certificate) } } })
