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

/** The secret with the authorities of all meshes. */
export const allAuthoritiesName = authorityName('all')

/** The secrets that a TLS context of a mesh refers to. `shown` is the mesh whose identity the proxy presents. */
export const meshSecrets = (mesh: string, shown = mesh): readonly string[] => [identityName(shown), authorityName(mesh)]
/** The secrets of a TLS context that accepts identities of all meshes. */
export const anyMeshSecrets = (mesh: string): readonly string[] => [identityName(mesh), allAuthoritiesName]

const secret = (name: string): SdsSecretConfig => create(SdsSecretConfigSchema, { name, sdsConfig: overAds() })

const commonContext = (
  mesh: string,
  shown: string,
  peer: { case: 'exact' | 'prefix'; value: string },
  alpn: readonly string[],
) => ({
  alpnProtocols: [...alpn],
  tlsCertificateSdsSecretConfigs: [secret(identityName(shown))],
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

/**
 * Mutual TLS to a service, which must present the identity of this service. `shown` is the mesh of the client's own
 * identity.
 */
export const towardsService = (mesh: string, service: string, sni: string, shown: string): TransportSocket =>
  socket(
    packed(UpstreamTlsContextSchema, {
      sni,
      commonTlsContext: commonContext(mesh, shown, { case: 'exact', value: `spiffe://${mesh}/${service}` }, ['kuma']),
    }),
  )

/** Mutual TLS from any client in the mesh. */
export const fromMesh = (mesh: string): TransportSocket =>
  socket(
    packed(DownstreamTlsContextSchema, {
      requireClientCertificate: true,
      commonTlsContext: commonContext(mesh, mesh, { case: 'prefix', value: `spiffe://${mesh}/` }, []),
    }),
  )

/** Mutual TLS from any client whose certificate one of the meshes' authorities has signed. */
export const fromAnyMesh = (mesh: string): TransportSocket =>
  socket(
    packed(DownstreamTlsContextSchema, {
      requireClientCertificate: true,
      commonTlsContext: {
        tlsCertificateSdsSecretConfigs: [secret(identityName(mesh))],
        validationContextType: { case: 'validationContextSdsSecretConfig', value: secret(allAuthoritiesName) },
      },
    }),
  )

/** TLS from any client of a gateway. */
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
