import {
  type AuthorityCertificateSpec,
  type AuthorityKeySpec,
  type AuthorityRequestSpec,
  authorityCertificate,
  authorityKey,
} from '@zonemesh/core/kinds/internal.ts'
import { mesh as meshKind } from '@zonemesh/core/kinds/mesh.ts'
import { enabledBackend, type MeshSpec, storedLifetimeMs } from '@zonemesh/core/kinds/mesh-spec.ts'
import { requireSpec, specOf } from '@zonemesh/core/kinds/row.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import { globalOrigin } from '@zonemesh/shared/resource/resource.ts'
import type { Commit, CommitOutcome, Store } from '@zonemesh/shared/store/store.ts'
import { certificatesIn } from './pem.ts'
import type { Sealer } from './seal.ts'
import {
  backdatedMs,
  createWorkloadCertificate,
  fingerprintOf,
  generateKeys,
  isSignedBy,
  type KeyedCertificate,
} from './x509.ts'

interface Deps {
  readonly store: Store
  readonly sealer: Sealer
  /** The zone's name: the origin of its rows. */
  readonly zone: string
  readonly clock: Clock
  readonly log: Log
  readonly commit: (commit: Commit) => Promise<CommitOutcome>
}

/** The certificate of a proxy in a mesh. */
export interface WorkloadIdentity extends KeyedCertificate {
  readonly notAfterMs: number
  readonly issuedAtMs: number
  readonly backend: string
  /** The fingerprint of the root at the end of its chain. */
  readonly root: string
}

/** The fingerprints of the roots that a mesh trusts, and of the root that issued the zone's intermediate. */
export interface TrustedRoots {
  readonly roots: readonly string[]
  readonly issuer: string
  /** The generation of the owner's answer with these roots. */
  readonly generation: number
}

interface Authority {
  readonly issuer: KeyedCertificate
  readonly roots: string
  readonly trusted: TrustedRoots
  readonly backend: string
  readonly notAfterMs: number
  readonly workloadMs: number
}

const dayMs = 86_400_000

const wholeSeconds = (ms: number): number => Math.floor(ms / 1_000) * 1_000

/**
 * The zone's side of mesh authorities. It keeps a key per mesh that never leaves the zone, requests an intermediate
 * certificate for it from the owner, and issues workload certificates. Workload keys are in memory only.
 */
export function createAuthorityHolder(deps: Deps) {
  const authorities = new Map<string, Authority>()

  async function keyOf(
    mesh: string,
    backend: string,
  ): Promise<{ readonly privateKey: string; readonly publicKey: string }> {
    const key = { origin: deps.zone, kind: 'AuthorityKey', mesh, name: backend }
    const stored = (await deps.store.get(key))?.row
    if (stored) {
      const { sealedKey, publicKey } = requireSpec(authorityKey, stored)
      return { privateKey: deps.sealer.open(sealedKey), publicKey }
    }
    const keys = await generateKeys()
    const spec: AuthorityKeySpec = { backend, publicKey: keys.publicKey, sealedKey: deps.sealer.seal(keys.privateKey) }
    const request: AuthorityRequestSpec = { backend, publicKey: keys.publicKey }
    await deps.commit({
      changes: [
        { op: 'put', key, labels: {}, spec: { ...spec } },
        {
          op: 'put',
          key: { origin: deps.zone, kind: 'AuthorityRequest', mesh, name: backend },
          labels: {},
          spec: { ...request },
        },
      ],
      subject: 'mesh-system:control-plane',
      intent: `create the authority key of mesh ${mesh}`,
    })
    return keys
  }

  async function load(mesh: string, spec: MeshSpec): Promise<Authority | undefined> {
    const backend = enabledBackend(spec)
    if (!backend) return undefined
    // Requests the new backend while the answer is still of the former one: the owner answers when all zones trust it.
    await keyOf(mesh, backend.name)
    for (const origin of [globalOrigin, deps.zone]) {
      const row = (await deps.store.get({ origin, kind: 'AuthorityCertificate', mesh, name: deps.zone }))?.row
      const answer = row && specOf(authorityCertificate, row)
      if (!answer) continue
      const { privateKey, publicKey } = await keyOf(mesh, answer.backend)
      if (answer.publicKey !== publicKey) continue
      return {
        issuer: { certificate: answer.certificate, key: privateKey },
        roots: answer.roots,
        trusted: trustedRoots(answer),
        backend: answer.backend,
        notAfterMs: answer.notAfterMs,
        workloadMs: storedLifetimeMs(backend.dpCert?.rotation?.expiration) ?? dayMs,
      }
    }
    return undefined
  }

  return {
    /**
     * Reads the meshes and answers in the store. Returns the meshes whose issuer or whose trusted roots have changed.
     */
    async reconcile(): Promise<ReadonlyMap<string, 'issuer' | 'roots'>> {
      const changed = new Map<string, 'issuer' | 'roots'>()
      const meshes = await deps.store.scan({ kind: 'Mesh' })
      for (const row of meshes) {
        const mesh = row.key.name
        const spec = specOf(meshKind, row)
        // A row that cannot be parsed must not turn off mutual TLS, so the former authority stays.
        if (!spec) continue
        const next = await load(mesh, spec)
        const before = authorities.get(mesh)
        const isSame =
          next?.issuer.certificate === before?.issuer.certificate && next?.workloadMs === before?.workloadMs
        if (isSame && next?.roots === before?.roots && next?.trusted.generation === before?.trusted.generation) continue
        if (next) authorities.set(mesh, next)
        else authorities.delete(mesh)
        changed.set(mesh, isSame ? 'roots' : 'issuer')
      }
      for (const mesh of authorities.keys()) {
        if (meshes.some((row) => row.key.name === mesh)) continue
        authorities.delete(mesh)
        changed.set(mesh, 'issuer')
      }
      return changed
    },
    /** The trusted bundle of a mesh, in PEM; undefined until the owner has answered. */
    roots: (mesh: string): string | undefined => authorities.get(mesh)?.roots,
    /** False if the authority changed while the certificate was being issued. */
    isCurrent: (mesh: string, { certificate }: WorkloadIdentity): boolean => {
      const authority = authorities.get(mesh)
      return authority !== undefined && certificate.endsWith(authority.issuer.certificate)
    },
    /** The trusted roots of a mesh; none until the owner has answered. */
    trusted: (mesh: string): TrustedRoots => authorities.get(mesh)?.trusted ?? { roots: [], issuer: '', generation: 0 },
    /** When the zone's authority of a mesh expires. */
    notAfterMs: (mesh: string): number | undefined => authorities.get(mesh)?.notAfterMs,
    /** The meshes for which this zone has an authority. */
    meshes: (): readonly string[] => [...authorities.keys()],
    /** Issues a certificate for the identities of one proxy. Returns undefined until the owner has answered. */
    async issue(
      mesh: string,
      services: readonly string[],
      tags: readonly string[],
    ): Promise<WorkloadIdentity | undefined> {
      const authority = authorities.get(mesh)
      if (!authority) return undefined
      const nowMs = deps.clock.wallMs()
      if (authority.notAfterMs <= nowMs)
        throw new Error(
          `the intermediate authority of mesh ${mesh} expired at ${new Date(authority.notAfterMs).toISOString()}`,
        )
      // A certificate states its expiry in whole seconds. Rounding up would overstate the life of a short-lived one.
      const notAfterMs = wholeSeconds(Math.min(nowMs + authority.workloadMs, authority.notAfterMs))
      const uris = [...services.map((service) => `spiffe://${mesh}/${service}`), ...tags.map((tag) => `kuma://${tag}`)]
      const certificate = await createWorkloadCertificate(authority.issuer, uris, {
        notBeforeMs: nowMs - backdatedMs,
        notAfterMs,
      })
      const root = authority.trusted.issuer
      return { ...certificate, notAfterMs, issuedAtMs: nowMs, backend: authority.backend, root }
    },
  }
}
/** The fingerprints of the bundle, and of the root in it that signed the zone's certificate. */
function trustedRoots({ roots, certificate, generation = 0 }: AuthorityCertificateSpec): TrustedRoots {
  const all = certificatesIn(roots)
  const issuer = all.find((root) => isSignedBy(certificate, root))
  return { roots: all.map(fingerprintOf), issuer: issuer === undefined ? '' : fingerprintOf(issuer), generation }
}
export type AuthorityHolder = ReturnType<typeof createAuthorityHolder>
