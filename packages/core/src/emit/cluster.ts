import type { Any } from '@bufbuild/protobuf/wkt'
import {
  Cluster_DiscoveryType,
  Cluster_DnsLookupFamily,
  Cluster_LbSubsetConfig_LbSubsetFallbackPolicy,
  Cluster_LbSubsetConfig_LbSubsetSelector_LbSubsetSelectorFallbackPolicy,
  ClusterSchema,
} from '../../gen/envoy/config/cluster/v3/cluster_pb.js'
import { HttpProtocolOptionsSchema } from '../../gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js'
import { isIp } from '../kinds/common.ts'
import type { ClusterModel } from '../model/model.ts'
import { durationField, encode, milliseconds, once, overAds, packed, resourceOf, socketAddress } from './encode.ts'
import type { XdsResource } from './table.ts'
import { meshSecrets, towardsService } from './tls.ts'

const limits = { maxConnections: 1024, maxPendingRequests: 1024, maxRequests: 1024, maxRetries: 3 }

export const emitCluster = once((model: ClusterModel): XdsResource => emitWith(model, {}))

/** A cluster with endpoints whose proxies are lost: it removes endpoints that accept no connections. */
export const emitProbingCluster = once((model: ClusterModel): XdsResource => emitWith(model, probes))

/**
 * One failed probe is enough, because the proxy was silent for its whole lease. One successful probe restores the
 * endpoint. Without a panic threshold no request goes to endpoints that are known to be unavailable.
 */
const probes = {
  healthChecks: [
    {
      timeout: milliseconds(2_000),
      interval: milliseconds(5_000),
      noTrafficInterval: milliseconds(5_000),
      unhealthyThreshold: 1,
      healthyThreshold: 1,
      healthChecker: { case: 'tcpHealthCheck' as const, value: {} },
    },
  ],
  commonLbConfig: { healthyPanicThreshold: { value: 0 } },
}

function emitWith(model: ClusterModel, extra: Partial<typeof probes>): XdsResource {
  const { name, target, mtls, http, subsetKeys } = model
  const bytes = encode(ClusterSchema, {
    name,
    ...(model.statName ? { altStatName: model.statName } : {}),
    ...discovery(name, target),
    connectTimeout: milliseconds(model.connectMs),
    ...(model.bufferBytes === undefined ? {} : { perConnectionBufferLimitBytes: model.bufferBytes }),
    ...(model.breakers === 'none'
      ? {}
      : {
          circuitBreakers: {
            thresholds: [{ trackRemaining: true, ...(model.breakers === 'limits' ? limits : {}) }],
          },
        }),
    ...(mtls ? { transportSocket: towardsService(mtls.mesh, mtls.service, mtls.sni, mtls.shown ?? mtls.mesh) } : {}),
    ...(http
      ? {
          typedExtensionProtocolOptions: {
            [HttpProtocolOptionsSchema.typeName]: httpOptions(http, mtls !== undefined),
          },
        }
      : {}),
    ...(subsetKeys ? { lbSubsetConfig: subsets(subsetKeys) } : {}),
    ...extra,
  })
  return resourceOf(name, bytes, {
    ...(target === 'eds' ? { assignment: name } : {}),
    ...(mtls ? { secrets: meshSecrets(mtls.mesh, mtls.shown) } : {}),
  })
}

function discovery(name: string, target: ClusterModel['target']) {
  if (target === 'eds') {
    return {
      clusterDiscoveryType: { case: 'type' as const, value: Cluster_DiscoveryType.EDS },
      edsClusterConfig: { edsConfig: overAds() },
    }
  }
  const endpoint = { address: socketAddress(target) }
  return {
    // The proxy resolves the name, because the name may be known only on its host.
    ...(isIp(target.address)
      ? { clusterDiscoveryType: { case: 'type' as const, value: Cluster_DiscoveryType.STATIC } }
      : {
          clusterDiscoveryType: { case: 'type' as const, value: Cluster_DiscoveryType.STRICT_DNS },
          dnsLookupFamily: Cluster_DnsLookupFamily.V4_PREFERRED,
        }),
    loadAssignment: {
      clusterName: name,
      endpoints: [{ lbEndpoints: [{ hostIdentifier: { case: 'endpoint' as const, value: endpoint } }] }],
    },
  }
}

/**
 * Connections through an ingress are closed after this time, once their requests have finished. An ingress balances
 * connections, not requests, so a connection that never closes would stay with one instance, and new instances in the
 * other zone would get no requests.
 */
const renewedAfterMs = 60_000

function httpOptions(
  { version, idleMs, maxStreamMs, edgeWindows }: NonNullable<ClusterModel['http']>,
  crossesZones: boolean,
): Any {
  const windows = edgeWindows ? { initialStreamWindowSize: 65_536, initialConnectionWindowSize: 1_048_576 } : {}
  return packed(HttpProtocolOptionsSchema, {
    commonHttpProtocolOptions: {
      ...durationField('idleTimeout', idleMs),
      maxConnectionDuration: milliseconds(crossesZones ? renewedAfterMs : 0),
      ...durationField('maxStreamDuration', maxStreamMs),
    },
    upstreamProtocolOptions: {
      case: 'explicitHttpConfig',
      value: {
        protocolConfig:
          version === 2 ? { case: 'http2ProtocolOptions', value: windows } : { case: 'httpProtocolOptions', value: {} },
      },
    },
  })
}

/** A client that names tags gets only endpoints with these tags. A client that names none gets any endpoint. */
const subsets = (keySets: readonly (readonly string[])[]) => ({
  fallbackPolicy: Cluster_LbSubsetConfig_LbSubsetFallbackPolicy.ANY_ENDPOINT,
  subsetSelectors: keySets.map((keys) => ({
    keys: [...keys],
    fallbackPolicy: Cluster_LbSubsetConfig_LbSubsetSelector_LbSubsetSelectorFallbackPolicy.NO_FALLBACK,
  })),
})
