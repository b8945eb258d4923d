import { createRegistry, fromBinary, toJson } from '@bufbuild/protobuf'
import { ClusterSchema } from '../../gen/envoy/config/cluster/v3/cluster_pb.js'
import { ClusterLoadAssignmentSchema } from '../../gen/envoy/config/endpoint/v3/endpoint_pb.js'
import { ListenerSchema } from '../../gen/envoy/config/listener/v3/listener_pb.js'
import { RouteConfigurationSchema } from '../../gen/envoy/config/route/v3/route_pb.js'
import { GzipSchema } from '../../gen/envoy/extensions/compression/gzip/compressor/v3/gzip_pb.js'
import { CompressorSchema } from '../../gen/envoy/extensions/filters/http/compressor/v3/compressor_pb.js'
import { LocalRateLimitSchema } from '../../gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.js'
import { RBACSchema as HttpAccessSchema } from '../../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js'
import { RouterSchema } from '../../gen/envoy/extensions/filters/http/router/v3/router_pb.js'
import { TlsInspectorSchema } from '../../gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.js'
import { ConfigSchema as AnswerSchema } from '../../gen/envoy/extensions/filters/network/direct_response/v3/config_pb.js'
import { HttpConnectionManagerSchema } from '../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js'
import { RBACSchema as NetworkAccessSchema } from '../../gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.js'
import { TcpProxySchema } from '../../gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js'
import {
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from '../../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js'
import { HttpProtocolOptionsSchema } from '../../gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js'
import { RuntimeSchema } from '../../gen/envoy/service/runtime/v3/rtds_pb.js'
import { type ProxyTable, type TypeUrl, typeUrls, type XdsResource } from './table.ts'

const registry = createRegistry(
  GzipSchema,
  CompressorSchema,
  LocalRateLimitSchema,
  HttpAccessSchema,
  RouterSchema,
  TlsInspectorSchema,
  AnswerSchema,
  HttpConnectionManagerSchema,
  NetworkAccessSchema,
  TcpProxySchema,
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
  HttpProtocolOptionsSchema,
)

const schemas = {
  [typeUrls.cluster]: ClusterSchema,
  [typeUrls.assignment]: ClusterLoadAssignmentSchema,
  [typeUrls.listener]: ListenerSchema,
  [typeUrls.route]: RouteConfigurationSchema,
  [typeUrls.runtime]: RuntimeSchema,
} as const

/** Resources of one type as Envoy's configuration dump shows them: names of the .proto files, by resource name. */
export function decoded(table: Pick<ProxyTable, 'resources'> | undefined, type: TypeUrl): Record<string, unknown> {
  if (type === typeUrls.secret) return {}
  return Object.fromEntries(
    [...(table?.resources.get(type)?.values() ?? [])].map((one) => [one.name, decodedResource(type, one)]),
  )
}

/** One resource as Envoy's configuration dump shows it. Secrets are not decoded, because they contain private keys. */
function decodedResource(type: Exclude<TypeUrl, typeof typeUrls.secret>, { bytes }: XdsResource): unknown {
  return toJson(schemas[type], fromBinary(schemas[type], bytes), { registry, useProtoFieldName: true })
}
