import { create, toBinary } from '@bufbuild/protobuf'
import { shortHash } from '@zonemesh/shared/base/base.ts'
import { SecretSchema } from '../../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js'
import type { XdsResource } from './table.ts'

const text = (inlineString: string) => ({ specifier: { case: 'inlineString' as const, value: inlineString } })

function resource(name: string, bytes: Uint8Array): XdsResource {
  return { name, bytes, version: shortHash(bytes) }
}

/** The certificate chain and private key of a proxy, both PEM. */
export const identitySecret = (name: string, certificateChain: string, privateKey: string): XdsResource =>
  resource(
    name,
    toBinary(
      SecretSchema,
      create(SecretSchema, {
        name,
        type: {
          case: 'tlsCertificate',
          value: { certificateChain: text(certificateChain), privateKey: text(privateKey) },
        },
      }),
    ),
  )

/** The authorities that a proxy trusts, PEM. */
export const authoritySecret = (name: string, roots: string): XdsResource =>
  resource(
    name,
    toBinary(
      SecretSchema,
      create(SecretSchema, { name, type: { case: 'validationContext', value: { trustedCa: text(roots) } } }),
    ),
  )
