import { create } from '@bufbuild/protobuf'
import { TrafficDirection } from '../../gen/envoy/config/core/v3/base_pb.js'
import {
  type FilterChainMatch,
  FilterChainMatchSchema,
  FilterChainSchema,
} from '../../gen/envoy/config/listener/v3/listener_components_pb.js'
import { ListenerSchema } from '../../gen/envoy/config/listener/v3/listener_pb.js'
import { TlsInspectorSchema } from '../../gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.js'
import type { ChainModel, ListenerModel } from '../model/model.ts'
import { tagsMetadata } from './assignment.ts'
import { encode, once, packed, resourceOf, socketAddress } from './encode.ts'
import { filtersOf } from './filters.ts'
import { clustersOf, joined, memberOf } from './route.ts'
import type { XdsResource } from './table.ts'
import { anyMeshSecrets, fromAnybody, fromAnyMesh, fromMesh, meshSecrets } from './tls.ts'

/** A listener, assembled from the bytes of its chains. Many listeners share chains. */
export const emitListener = once((model: ListenerModel): XdsResource => {
  const head = encode(ListenerSchema, {
    name: model.name,
    address: socketAddress(model),
    trafficDirection: model.direction === 'inbound' ? TrafficDirection.INBOUND : TrafficDirection.OUTBOUND,
    enableReusePort: model.reusePort,
    ...(model.bufferBytes === undefined ? {} : { perConnectionBufferLimitBytes: model.bufferBytes }),
    ...(model.tags ? { metadata: tagsMetadata(['io.kuma.tags'], model.tags) } : {}),
    listenerFilters: model.inspectTls
      ? [
          {
            name: 'envoy.filters.listener.tls_inspector',
            configType: { case: 'typedConfig', value: packed(TlsInspectorSchema, {}) },
          },
        ]
      : [],
  })
  const references = model.chains.map(referencesOf)
  const unique = (names: readonly string[]) => [...new Set(names)].sort()
  return resourceOf(model.name, joined([head, ...model.chains.map(chainMember)]), {
    secrets: unique(references.flatMap((one) => one.secrets)),
    routes: unique(references.flatMap((one) => one.routes)),
    clusters: unique(references.flatMap((one) => one.clusters)),
    ...(model.contributions ? { contributions: model.contributions } : {}),
  })
})

const chainMember = once(
  (chain: ChainModel): Uint8Array =>
    memberOf(
      ListenerSchema.field.filterChains.number,
      encode(FilterChainSchema, {
        ...(chain.match ? { filterChainMatch: matchOf(chain.match) } : {}),
        ...(chain.mtls === undefined ? {} : { transportSocket: (chain.anyMesh ? fromAnyMesh : fromMesh)(chain.mtls) }),
        ...(chain.tls ? { transportSocket: fromAnybody(chain.tls.certificates, chain.tls.alpn) } : {}),
        filters: filtersOf(chain.content),
      }),
    ),
)

const matchOf = ({ transport, serverNames, alpn }: NonNullable<ChainModel['match']>): FilterChainMatch =>
  create(FilterChainMatchSchema, {
    transportProtocol: transport,
    serverNames: [...(serverNames ?? [])],
    applicationProtocols: [...(alpn ?? [])],
  })

function referencesOf({ mtls, anyMesh, tls, content }: ChainModel) {
  const ofMesh = mtls === undefined ? [] : anyMesh ? anyMeshSecrets(mtls) : meshSecrets(mtls)
  const secrets = [...ofMesh, ...(tls?.certificates ?? [])]
  switch (content.type) {
    case 'answer':
    case 'close':
      return { secrets, routes: [], clusters: [] }
    case 'tcp': {
      const { cluster } = content
      return {
        secrets,
        routes: [],
        clusters: typeof cluster === 'string' ? [cluster] : cluster.map(({ name }) => name),
      }
    }
    case 'http':
      return 'rds' in content.routes
        ? { secrets, routes: [content.routes.rds], clusters: [] }
        : { secrets, routes: [], clusters: clustersOf(content.routes) }
  }
}
