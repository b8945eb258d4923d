import { type MeshRootSpec, meshRoot } from '@zonemesh/core/kinds/internal.ts'
import { type MeshBackend, type MeshSpec, storedLifetimeMs } from '@zonemesh/core/kinds/mesh-spec.ts'
import { parsedRows, requireSpec } from '@zonemesh/core/kinds/row.ts'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import type { ResourceKey } from '@zonemesh/shared/resource/resource.ts'
import type { Change, Commit, CommitOutcome, Store } from '@zonemesh/shared/store/store.ts'
import { certificatesIn } from './pem.ts'
import { readProvided } from './provided.ts'
import type { Sealer } from './seal.ts'
import { createRoot, fingerprintOf, lifetime } from './x509.ts'

/** The dependencies of the owner of authorities. */
export interface OwnerDeps {
  readonly store: Store
  readonly sealer: Sealer
  readonly origin: string
  readonly clock: Clock
  readonly log: Log
  readonly commit: (commit: Commit) => Promise<CommitOutcome>
}

/** A present or former authority of a mesh. */
export interface Root {
  readonly backend: string
  /** The signing certificate, then the certificates up to its root, in PEM. Zones trust all of them. */
  readonly certificates: readonly string[]
  /** The fingerprint of the first certificate. */
  readonly fingerprint: string
  /** Undefined if only the certificate is kept. */
  readonly key: string | undefined
}

/** The roots of a mesh: those of its listed backends, by name, and those of former backends. */
export interface MeshRoots {
  readonly byBackend: ReadonlyMap<string, Root>
  readonly former: readonly Root[]
}

const rootDaysDefault = 3650

/** The lifetime of a root in whole days, at least one. */
function days(text: string | undefined): number {
  const ms = storedLifetimeMs(text)
  return ms ? Math.max(1, Math.ceil(ms / 86_400_000)) : rootDaysDefault
}

function rootDays({ conf }: MeshBackend): number {
  const caCert: unknown = conf !== undefined ? Reflect.get(conf, 'caCert') : undefined
  const expiration: unknown =
    caCert !== null && typeof caCert === 'object' ? Reflect.get(caCert, 'expiration') : undefined
  return days(typeof expiration === 'string' ? expiration : undefined)
}

/** Keeps a root per backend of each mesh: creates those of builtin backends, and reads provided ones. */
export function createRoots(deps: OwnerDeps) {
  const { store, sealer, origin, log } = deps

  const keyOf = (mesh: string, name: string): ResourceKey => ({ origin, kind: 'MeshRoot', mesh, name })

  function rootOf({ backend, certificate, sealedKey }: MeshRootSpec): Root {
    const certificates = certificatesIn(certificate)
    return {
      backend,
      certificates,
      fingerprint: fingerprintOf(certificate),
      key: sealedKey === '' ? undefined : sealer.open(sealedKey),
    }
  }

  const commit = (changes: readonly Change[], mesh: string): Promise<CommitOutcome> =>
    deps.commit({
      changes,
      subject: 'mesh-system:control-plane',
      intent: `update the root authorities of mesh ${mesh}`,
    })

  async function builtin(mesh: string, backend: MeshBackend): Promise<Root> {
    const key = keyOf(mesh, backend.name)
    const stored = (await store.get(key))?.row
    if (stored) return rootOf(requireSpec(meshRoot, stored))
    const root = await createRoot(mesh, lifetime(deps.clock.wallMs(), rootDays(backend)), [`spiffe://${mesh}`])
    const spec: MeshRootSpec = {
      backend: backend.name,
      certificate: root.certificate,
      sealedKey: sealer.seal(root.key),
    }
    await commit([{ op: 'put', key, labels: {}, spec: { ...spec }, expect: { absent: true } }], mesh)
    // Reads the row again: another process of this plane may have created it first.
    return builtin(mesh, backend)
  }

  /** Stores the certificate: zones trust it for as long as a proxy shows a certificate that it has signed. */
  async function provided(mesh: string, backend: MeshBackend): Promise<Root> {
    const read = await readProvided(deps, mesh, backend)
    if (!read.ok) throw new Error(read.error.map(({ field, reason }) => `${field}: ${reason}`).join('; '))
    const { certificates, key } = read.value
    const fingerprint = fingerprintOf(certificates[0] ?? '')
    const at = keyOf(mesh, `${backend.name}.${fingerprint.slice(0, 16)}`)
    if (!(await store.get(at))?.row) {
      const spec: MeshRootSpec = { backend: backend.name, certificate: certificates.join(''), sealedKey: '' }
      await commit([{ op: 'put', key: at, labels: {}, spec: { ...spec }, expect: { absent: true } }], mesh)
    }
    return { backend: backend.name, certificates, fingerprint, key }
  }

  return {
    async of(mesh: string, spec: MeshSpec): Promise<MeshRoots> {
      const byBackend = new Map<string, Root>()
      for (const backend of spec.mtls?.backends ?? []) {
        try {
          if (backend.type === 'builtin') byBackend.set(backend.name, await builtin(mesh, backend))
          else if (backend.type === 'provided') byBackend.set(backend.name, await provided(mesh, backend))
        } catch (thrown) {
          log.error({ mesh, backend: backend.name, reason: messageOf(thrown) }, 'cannot use an authority of a mesh')
        }
      }
      const present = new Set([...byBackend.values()].map(({ fingerprint }) => fingerprint))
      const rows = parsedRows(meshRoot, await store.scan({ kind: 'MeshRoot', origin, mesh }))
      return {
        byBackend,
        former: rows.map(({ spec }) => rootOf(spec)).filter(({ fingerprint }) => !present.has(fingerprint)),
      }
    },
    /** Deletes certificates of provided authorities that no proxy shows any more. */
    async forget(mesh: string, fingerprints: ReadonlySet<string>): Promise<void> {
      const rows = parsedRows(meshRoot, await store.scan({ kind: 'MeshRoot', origin, mesh })).filter(
        ({ spec: { sealedKey, certificate } }) => sealedKey === '' && fingerprints.has(fingerprintOf(certificate)),
      )
      if (rows.length > 0)
        await commit(
          rows.map(({ key }): Change => ({ op: 'delete', key })),
          mesh,
        )
    },
  }
}
