import { shortHash } from '@zonemesh/shared/base/base.ts'
import { keyText } from '@zonemesh/shared/resource/resource.ts'
import type { MeshName } from '../kinds/identities.ts'
import { gatewayCertificate } from '../kinds/internal.ts'
import { inlinePem, type ListenerCertificate } from '../kinds/mesh-gateway-spec.ts'
import { readPem } from '../kinds/pem.ts'
import type { Exclusions } from '../model/exclusions.ts'
import type { CertificateModel } from '../model/model.ts'
import { NoteError, type Units } from '../view/units.ts'
import type { View } from '../view/view.ts'

/** What of a certificate that was made of a secret decides how Envoy is told of it. */
type Facts =
  | { readonly keyType: 'rsa' | 'ecdsa'; readonly fingerprint: string; readonly source: string }
  | { readonly problem: string }

/** What one filter chain is to show. */
interface ChainCertificates {
  readonly mesh: MeshName
  readonly certificates: readonly ListenerCertificate[]
  /** What people call the chain. */
  readonly title: string
  /** Whom to blame for what stands in the listener itself. */
  readonly source: string
  /** The row that it stands in. */
  readonly gateway: string
  /** What tells it from others in the name of its secret. */
  readonly label: string
}

/**
 * The certificates of listeners, by the names of their secrets. A chain whose certificate never comes would hold back the
 * whole listener, so one that is not there yet, or that was refused, is an error of that chain.
 */
export function createGatewayCertificates(units: Units, view: View, exclusions: Exclusions) {
  /** Without what is sealed: a key that is only sealed anew wakes nobody. */
  const ofSecret = units.family('listener certificate', (mesh: MeshName, secret: string): Facts => {
    const row = view.named(gatewayCertificate, mesh, `${secret}.${view.zone}`)
    if (!row) return { problem: 'is not there (yet)' }
    const { spec } = row
    if ('problem' in spec) return { problem: `cannot be used: ${spec.problem}` }
    return { keyType: spec.keyType, fingerprint: spec.fingerprint, source: keyText(row.key) }
  })

  function fromSecret({ mesh, title }: ChainCertificates, secret: string): CertificateModel {
    const facts = ofSecret(mesh, secret)
    // The secret has its own verdict, or is on its way.
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

  /** The certificates of one chain, or an error that says which one is missing. */
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
