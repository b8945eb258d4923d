import { create } from '@bufbuild/protobuf'
import { type TransportSocket, TransportSocketSchema } from '../../gen/envoy/config/core/v3/base_pb.js'
import {
  SubjectAltNameMatcher_SanType,
  TlsParameters_TlsProtocol,
} from '../../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js'
import {
  type SdsSecretConfig,
  SdsSecretConfigSchema,
} from '../../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js'
import {
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from '../../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js'
import { overAds, packed } from './encode.ts'

export const identityName = (mesh: string): string => `identity_cert:secret:${mesh}`
export const authorityName = (mesh: string): string => `mesh_ca:secret:${mesh}`

/** The secrets that a TLS context of a mesh refers to. */
export const meshSecrets = (mesh: string): readonly string[] => [identityName(mesh), authorityName(mesh)]

const secret = (name: string): SdsSecretConfig => create(SdsSecretConfigSchema, { name, sdsConfig: overAds() })

const commonContext = (mesh: string, peer: { case: 'exact' | 'prefix'; value: string }, alpn: readonly string[]) => ({
  alpnProtocols: [...alpn],
  tlsCertificateSdsSecretConfigs: [secret(identityName(mesh))],
  validationContextType: {
    case: 'combinedValidationContext' as const,
    value: {
      defaultValidationContext: {
        matchTypedSubjectAltNames: [{ sanType: SubjectAltNameMatcher_SanType.URI, matcher: { matchPattern: peer } }],
      },
      validationContextSdsSecretConfig: secret(authorityName(mesh)),
    },
  },
})

const socket = (typedConfig: ReturnType<typeof packed>): TransportSocket =>
  create(TransportSocketSchema, {
    name: 'envoy.transport_sockets.tls',
    configType: { case: 'typedConfig', value: typedConfig },
  })

/** Mutual TLS towards a service: it must show that it is this service. */
export const towardsService = (mesh: string, service: string, sni: string): TransportSocket =>
  socket(
    packed(UpstreamTlsContextSchema, {
      sni,
      commonTlsContext: commonContext(mesh, { case: 'exact', value: `spiffe://${mesh}/${service}` }, ['kuma']),
    }),
  )

/** Mutual TLS from anybody in the mesh. */
export const fromMesh = (mesh: string): TransportSocket =>
  socket(
    packed(DownstreamTlsContextSchema, {
      requireClientCertificate: true,
      commonTlsContext: commonContext(mesh, { case: 'prefix', value: `spiffe://${mesh}/` }, []),
    }),
  )

/** TLS from anybody who calls a gateway. */
export const fromAnybody = (certificates: readonly string[], alpn: readonly string[]): TransportSocket =>
  socket(
    packed(DownstreamTlsContextSchema, {
      requireClientCertificate: false,
      commonTlsContext: {
        tlsParams: { tlsMinimumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_2 },
        alpnProtocols: [...alpn],
        tlsCertificateSdsSecretConfigs: certificates.map(secret),
      },
    }),
  )
