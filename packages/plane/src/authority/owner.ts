import { durationMs } from '@zonemesh/core/kinds/common.ts'
import type { AuthorityCertificateSpec, AuthorityRequestSpec, MeshRootSpec } from '@zonemesh/core/kinds/internal.ts'
import { enabledBackend, type MeshSpec } from '@zonemesh/core/kinds/mesh.ts'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import type { Row } from '@zonemesh/shared/resource/resource.ts'
import type { Commit, CommitOutcome, Store } from '@zonemesh/shared/store/store.ts'
import type { Sealer } from './seal.ts'
import { createRoot, type KeyedCertificate, lifetime, signIntermediate } from './x509.ts'

interface Deps {
  readonly store: Store
  readonly sealer: Sealer
  readonly origin: string
  readonly clock: Clock
  readonly log: Log
  readonly commit: (commit: Commit) => Promise<CommitOutcome>
}

export const intermediateDays = 30
const rootDaysDefault = 3650

/** `10y`, `720h`: Kuma's form of a root's lifetime. */
function days(text: string | undefined): number {
  const match = /^(\d+)(y|d)$/.exec(text ?? '')
  if (match) return Number(match[1]) * (match[2] === 'y' ? 365 : 1)
  const ms = durationMs(text ?? '')
  return ms ? Math.max(1, Math.ceil(ms / 86_400_000)) : rootDaysDefault
}

function rootDays(mesh: MeshSpec): number {
  const conf: unknown = enabledBackend(mesh)?.conf
  const caCert: unknown = conf !== null && typeof conf === 'object' ? Reflect.get(conf, 'caCert') : undefined
  const expiration: unknown =
    caCert !== null && typeof caCert === 'object' ? Reflect.get(caCert, 'expiration') : undefined
  return days(typeof expiration === 'string' ? expiration : undefined)
}

/**
 * The side of mesh authorities that owns the roots (the global, or a standalone zone): makes a root for each mesh with a
 * builtin backend, and answers every zone's request with an intermediate. Renewal is a row like any other: no call.
 */
export function createAuthorityOwner(deps: Deps) {
  async function ensureRoot(
    meshName: string,
    mesh: MeshSpec,
  ): Promise<{ readonly backend: string; readonly root: KeyedCertificate } | undefined> {
    const backend = enabledBackend(mesh)
    if (backend?.type !== 'builtin') return undefined
    const key = { origin: deps.origin, kind: 'MeshRoot', mesh: meshName, name: backend.name }
    const stored = (await deps.store.get(key))?.row
    if (stored) {
      // Rows of this kind hold what is put below.
      const { certificate, sealedKey } = stored.spec as MeshRootSpec
      return { backend: backend.name, root: { certificate, key: deps.sealer.open(sealedKey) } }
    }
    const root = await createRoot(meshName, lifetime(deps.clock.wallMs(), rootDays(mesh)), [`spiffe://${meshName}`])
    const spec: MeshRootSpec = {
      backend: backend.name,
      certificate: root.certificate,
      sealedKey: deps.sealer.seal(root.key),
    }
    const outcome = await deps.commit({
      changes: [{ op: 'put', key, labels: {}, spec: { ...spec }, expect: { absent: true } }],
      subject: 'mesh-system:control-plane',
      intent: `root authority of mesh ${meshName}`,
    })
    return outcome.ok ? { backend: backend.name, root } : ensureRoot(meshName, mesh)
  }

  /** Answers one request unless the standing answer is for the same key and younger than half its life. */
  async function answer(request: Row, backend: string, root: KeyedCertificate): Promise<void> {
    // Rows of these kinds hold what the planes wrote.
    const { publicKey } = request.spec as AuthorityRequestSpec
    const zone = request.key.origin
    const mesh = request.key.mesh
    const key = { origin: deps.origin, kind: 'AuthorityCertificate', mesh, name: zone }
    const standing = (await deps.store.get(key))?.row?.spec as AuthorityCertificateSpec | undefined
    const nowMs = deps.clock.wallMs()
    const halfLifeMs = (intermediateDays / 2) * 86_400_000
    if (standing?.publicKey === publicKey && standing.backend === backend && standing.notAfterMs - nowMs > halfLifeMs)
      return
    const life = lifetime(nowMs, intermediateDays)
    const spec: AuthorityCertificateSpec = {
      zone,
      backend,
      publicKey,
      certificate: await signIntermediate(root, publicKey, `${mesh} in ${zone}`, life, `spiffe://${mesh}`),
      roots: root.certificate,
      notAfterMs: life.notAfterMs,
    }
    await deps.commit({
      changes: [{ op: 'put', key, labels: {}, spec: { ...spec } }],
      subject: 'mesh-system:control-plane',
      intent: `intermediate authority of mesh ${mesh} for zone ${zone}`,
    })
  }

  return {
    /** Brings roots and intermediates in line with the meshes and requests of the store. One bad mesh hurts only itself. */
    async reconcile(): Promise<void> {
      const meshes = await deps.store.scan({ kind: 'Mesh', origin: deps.origin })
      const requests = await deps.store.scan({ kind: 'AuthorityRequest' })
      for (const mesh of meshes) {
        try {
          // The kind says what its spec is.
          const owned = await ensureRoot(mesh.key.name, mesh.spec as MeshSpec)
          if (!owned) continue
          for (const request of requests)
            if (request.key.mesh === mesh.key.name) await answer(request, owned.backend, owned.root)
        } catch (thrown) {
          deps.log.error({ mesh: mesh.key.name, reason: messageOf(thrown) }, 'cannot keep the authority of a mesh')
        }
      }
    },
  }
}
