import { create } from '@bufbuild/protobuf'
import { HttpProtocolOptions_HeadersWithUnderscoresAction as Underscores } from '../../gen/envoy/config/core/v3/protocol_pb.js'
import { type Filter, FilterSchema } from '../../gen/envoy/config/listener/v3/listener_components_pb.js'
import { GzipSchema } from '../../gen/envoy/extensions/compression/gzip/compressor/v3/gzip_pb.js'
import { CompressorSchema } from '../../gen/envoy/extensions/filters/http/compressor/v3/compressor_pb.js'
import { LocalRateLimitSchema } from '../../gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.js'
import { RBACSchema as HttpAccessSchema } from '../../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js'
import { RouterSchema } from '../../gen/envoy/extensions/filters/http/router/v3/router_pb.js'
import { ConfigSchema as AnswerSchema } from '../../gen/envoy/extensions/filters/network/direct_response/v3/config_pb.js'
import {
  HttpConnectionManager_ForwardClientCertDetails as ClientCertificate,
  HttpConnectionManager_PathWithEscapedSlashesAction as EscapedSlashes,
  type HttpConnectionManager,
  HttpConnectionManagerSchema,
} from '../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js'
import { RBACSchema as NetworkAccessSchema } from '../../gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.js'
import { TcpProxySchema } from '../../gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js'
import type { ChainModel, HttpChain, TcpChain } from '../model/model.ts'
import { tagsMetadata } from './assignment.ts'
import { durationField, encode, milliseconds, overAds, packed, packedBytes } from './encode.ts'
import { accessRules } from './permissions.ts'
import { joined, memberOf, routeTableBytes } from './route.ts'

const filter = (name: string, value: ReturnType<typeof packed>): Filter =>
  create(FilterSchema, { name, configType: { case: 'typedConfig', value } })

const internalRanges: readonly (readonly [string, number])[] = [
  ['10.0.0.0', 8],
  ['192.168.0.0', 16],
  ['172.16.0.0', 12],
  ['fc00::', 7],
  ['fd00::', 8],
  ['127.0.0.1', 32],
  ['::1', 128],
]

/** The network filters of a filter chain, in order. */
export function filtersOf(content: ChainModel['content']): Filter[] {
  switch (content.type) {
    case 'close':
      // A filter chain without filters closes accepted connections.
      return []
    case 'http':
      return [httpFilter(content)]
    case 'tcp':
      return tcpFilters(content)
    case 'answer':
      return [
        filter(
          'envoy.filters.network.direct_response',
          packed(AnswerSchema, { response: { specifier: { case: 'inlineString', value: content.text } } }),
        ),
      ]
  }
}

function tcpFilters(chain: TcpChain): Filter[] {
  const proxy = filter(
    'envoy.filters.network.tcp_proxy',
    packed(TcpProxySchema, {
      statPrefix: chain.statPrefix,
      clusterSpecifier:
        typeof chain.cluster === 'string'
          ? { case: 'cluster', value: chain.cluster }
          : {
              case: 'weightedClusters',
              value: { clusters: chain.cluster.map(({ name, weight }) => ({ name, weight })) },
            },
      ...durationField('idleTimeout', chain.idleMs),
      ...(chain.connectAttempts === undefined ? {} : { maxConnectAttempts: Math.max(1, chain.connectAttempts) }),
      ...(chain.subset ? { metadataMatch: tagsMetadata(['envoy.lb'], chain.subset) } : {}),
    }),
  )
  if (!chain.permissions) return [proxy]
  const { mesh, rules } = chain.permissions
  const access = packed(NetworkAccessSchema, { statPrefix: `${chain.statPrefix}.`, rules: accessRules(mesh, rules) })
  return [filter('envoy.filters.network.rbac', access), proxy]
}

/** An HTTP connection manager. Routes inside it are appended as bytes, because they are encoded separately. */
function httpFilter(chain: HttpChain): Filter {
  const base = {
    // The settings come first: a created message has every field, so later fields must override them.
    ...settings[chain.role],
    statPrefix: chain.statPrefix,
    ...durationField('streamIdleTimeout', chain.streamIdleMs),
    internalAddressConfig: {
      cidrRanges: internalRanges.map(([addressPrefix, prefixLen]) => ({ addressPrefix, prefixLen })),
    },
    httpFilters: [
      ...(chain.permissions
        ? [
            httpExtension(
              'envoy.filters.http.rbac',
              packed(HttpAccessSchema, { rules: accessRules(chain.permissions.mesh, chain.permissions.rules) }),
            ),
          ]
        : []),
      ...(chain.role === 'gateway' ? edgeFilters() : []),
      httpExtension('envoy.filters.http.router', packed(RouterSchema, {})),
    ],
  }
  const { routes } = chain
  const bytes =
    'rds' in routes
      ? encode(HttpConnectionManagerSchema, {
          ...base,
          routeSpecifier: { case: 'rds', value: { routeConfigName: routes.rds, configSource: overAds() } },
        })
      : joined([
          encode(HttpConnectionManagerSchema, base),
          memberOf(HttpConnectionManagerSchema.field.routeConfig.number, routeTableBytes(routes)),
        ])
  return filter('envoy.filters.network.http_connection_manager', packedBytes(HttpConnectionManagerSchema, bytes))
}

const httpExtension = (name: string, value: ReturnType<typeof packed>) => ({
  name,
  configType: { case: 'typedConfig' as const, value },
})

/**
 * These filters have no effect until a policy adds per-route settings. They are present from the start, because adding
 * them later would drain the listener.
 */
const edgeFilters = () => [
  httpExtension('envoy.filters.http.local_ratelimit', packed(LocalRateLimitSchema, { statPrefix: 'rate_limit' })),
  httpExtension(
    'gzip-compress',
    packed(CompressorSchema, {
      compressorLibrary: { name: 'gzip', typedConfig: packed(GzipSchema, {}) },
      responseDirectionConfig: { disableOnEtagHeader: true },
    }),
  ),
]

type Settings = Omit<Partial<HttpConnectionManager>, '$typeName' | '$unknown' | 'httpFilters' | 'routeSpecifier'>

const managerOf = (value: Parameters<typeof create<typeof HttpConnectionManagerSchema>>[1]): Settings => {
  const {
    $typeName: _name,
    httpFilters: _filters,
    routeSpecifier: _routes,
    ...rest
  } = create(HttpConnectionManagerSchema, value)
  return rest
}

const settings: Record<HttpChain['role'], Settings> = {
  gateway: managerOf({
    serverName: 'Kuma Gateway',
    useRemoteAddress: true,
    normalizePath: true,
    mergeSlashes: true,
    pathWithEscapedSlashesAction: EscapedSlashes.UNESCAPE_AND_REDIRECT,
    requestHeadersTimeout: milliseconds(500),
    commonHttpProtocolOptions: {
      idleTimeout: milliseconds(300_000),
      headersWithUnderscoresAction: Underscores.REJECT_REQUEST,
    },
    http2ProtocolOptions: {
      maxConcurrentStreams: 100,
      initialStreamWindowSize: 65_536,
      initialConnectionWindowSize: 1_048_576,
      allowConnect: true,
    },
  }),
  inbound: managerOf({
    forwardClientCertDetails: ClientCertificate.SANITIZE_SET,
    setCurrentClientCertDetails: { uri: true },
    requestHeadersTimeout: milliseconds(0),
    commonHttpProtocolOptions: { idleTimeout: milliseconds(0) },
  }),
  outbound: managerOf({
    normalizePath: true,
    requestHeadersTimeout: milliseconds(0),
    commonHttpProtocolOptions: { idleTimeout: milliseconds(0) },
  }),
}
