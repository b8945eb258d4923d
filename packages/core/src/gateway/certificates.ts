import { shortHash } from '@zonemesh/shared/base/base.ts'
import { keyText } from '@zonemesh/shared/resource/resource.ts'
import type { MeshName } from '../kinds/identities.ts'
import { gatewayCertificate } from '../kinds/internal.ts'
import { inlinePem, type ListenerCertificate } from '../kinds/mesh-gateway-spec.ts'
import { readPem } from '../kinds/pem.ts'
import type { Exclusions } from '../model/exclusions.ts'
import type { CertificateModel } from '../model/model.ts'
import { NoteError } from '../view/problem.ts'
import type { Units } from '../view/units.ts'
import type { View } from '../view/view.ts'

/**
 * The properties of a Secret's certificate that affect the Envoy configuration, or the reason why it cannot be used.
 */
type Facts =
  | { readonly keyType: 'rsa' | 'ecdsa'; readonly fingerprint: string; readonly source: string }
  | { readonly problem: string }

/** The certificates of one filter chain. */
interface ChainCertificates {
  readonly mesh: MeshName
  readonly certificates: readonly ListenerCertificate[]
  /** Names the chain in messages. */
  readonly title: string
  /** The contribution that is excluded if Envoy refuses an inline certificate. */
  readonly source: string
  /** The row that contains the chain. */
  readonly gateway: string
  /** Distinguishes an inline certificate in the name of its Envoy secret. */
  readonly label: string
}

/**
 * The certificates of listeners, by the names of their Envoy secrets. A chain that waits for its certificate would
 * block the whole listener, so a certificate that is missing or was refused is an error of that chain alone.
 */
export function createGatewayCertificates(units: Units, view: View, exclusions: Exclusions) {
  /** Excludes the sealed key, so that a key that is only sealed again causes no recomputation. */
  const ofSecret = units.family('listener certificate', (mesh: MeshName, secret: string): Facts => {
    const row = view.named(gatewayCertificate, mesh, `${secret}.${view.zone}`)
    if (!row) return { problem: 'does not exist, or has not arrived yet' }
    const { spec } = row
    if ('problem' in spec) return { problem: `cannot be used: ${spec.problem}` }
    return { keyType: spec.keyType, fingerprint: spec.fingerprint, source: keyText(row.key) }
  })

  function fromSecret({ mesh, title }: ChainCertificates, secret: string): CertificateModel {
    const facts = ofSecret(mesh, secret)
    // A note and not a fault of the gateway: the Secret reports its own problem, or its certificate is not there yet.
    if ('problem' in facts) throw new NoteError(`${title}: secret "${secret}" ${facts.problem}`)
    const { keyType, fingerprint, source } = facts
    if (exclusions.has(source, fingerprint)) {
      throw new NoteError(`${title}: the certificate of secret "${secret}" was refused`)
    }
    const name = `cert.${keyType}:secret:${secret}`
    const contribution = { source, hash: fingerprint }
    return { name, mesh, source: { secret }, fingerprint, contribution, because: [source] }
  }

  function fromInline(
    { mesh, title, source, gateway, label }: ChainCertificates,
    one: ListenerCertificate,
  ): CertificateModel {
    const pem = inlinePem(one)
    if (pem === undefined) throw new Error(`${title}: the certificate is not base64`)
    const facts = readPem(pem)
    if (!facts.ok) throw new Error(`${title}: ${facts.error}`)
    const fingerprint = shortHash(pem)
    if (exclusions.has(source, fingerprint)) throw new NoteError(`${title}: the certificate was refused`)
    const name = `cert.${facts.value.keyType}:${one.inlineString === undefined ? 'inline' : 'inlineString'}:${label}`
    const contribution = { source, hash: fingerprint }
    return { name, mesh, source: { pem }, fingerprint, contribution, because: [gateway] }
  }

  /** Returns the certificates of one chain. Throws an error that names the missing certificate. */
  return (chain: ChainCertificates): readonly CertificateModel[] => {
    const { title, certificates } = chain
    const found = certificates.map((one) => {
      if (one.secret) return fromSecret(chain, one.secret)
      if (one.file !== undefined) throw new Error(`${title}: certificates of files are not served`)
      return fromInline(chain, one)
    })
    if (found.length === 0) throw new Error(`${title}: expected a certificate`)
    const names = found.map(({ name }) => name)
    const twice = names.find((name, at) => names.indexOf(name) < at)
    if (twice !== undefined) throw new Error(`${title}: duplicate TLS certificate "${twice}"`)
    return found
  }
}
export type GatewayCertificates = ReturnType<typeof createGatewayCertificates>
