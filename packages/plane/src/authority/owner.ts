import {
  type AuthorityCertificateSpec,
  type AuthorityUseSpec,
  authorityCertificate,
  authorityRequest,
  authorityUse,
} from '@zonemesh/core/kinds/internal.ts'
import { mesh as meshKind } from '@zonemesh/core/kinds/mesh.ts'
import { enabledBackend, type MeshSpec } from '@zonemesh/core/kinds/mesh-spec.ts'
import { parsedRows } from '@zonemesh/core/kinds/row.ts'
import { isEnabled, zone as zoneKind } from '@zonemesh/core/kinds/zone.ts'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { createRoots, type OwnerDeps, type Root } from './roots.ts'
import { isSignedBy, lifetime, signIntermediate, startOf } from './x509.ts'

export const intermediateDays = 30
const halfLifeMs = (intermediateDays / 2) * 86_400_000

/** The requests of one zone in a mesh, and the answer that it has. */
interface Party {
  readonly zone: string
  /** Public keys by backend. */
  readonly requests: ReadonlyMap<string, string>
  readonly standing: AuthorityCertificateSpec | undefined
  readonly use: AuthorityUseSpec | undefined
  /** False for a disabled or deleted zone: it does not delay a rotation. */
  readonly counts: boolean
}

/** The root that signs for a party, and the key that it signs. */
interface Choice {
  readonly root: Root
  readonly backend: string
  readonly publicKey: string
}

/**
 * The owner's side of mesh authorities (the global, or a standalone zone). It owns the roots and answers the request
 * of each zone with an intermediate certificate. An answer and its renewal are normal rows.
 *
 * A new root takes over in steps, and each zone reports its progress (`AuthorityUse`). First all zones trust it
 * beside the old one, then all sign with it. The old one leaves the bundle when no proxy shows it any more. So no
 * proxy meets a root that it does not trust, regardless of the order in which zones receive the answers.
 */
export function createAuthorityOwner(deps: OwnerDeps) {
  const { store, log } = deps
  const roots = createRoots(deps)
  /** The reason why each rotation waits, as last logged. Limit: one text per mesh. */
  const waitReasons = new Map<string, string>()
  /** The signer of each answer, so that no signature is checked twice. Limit: one per zone and mesh. */
  const signed = new Map<string, { readonly of: string; readonly root: string | undefined }>()

  /** The root that signed a zone's certificate. */
  function signerOf(mesh: string, { zone, standing }: Party, allRoots: readonly Root[]): Root | undefined {
    if (!standing) return undefined
    const of = [standing.certificate, ...allRoots.map(({ fingerprint }) => fingerprint)].join()
    const before = signed.get(`${mesh}/${zone}`)
    if (before?.of === of) return allRoots.find(({ fingerprint }) => fingerprint === before.root)
    const root = allRoots.find(({ certificates }) => isSignedBy(standing.certificate, certificates[0] ?? ''))
    signed.set(`${mesh}/${zone}`, { of, root: root?.fingerprint })
    return root
  }

  async function partiesOf(mesh: string, zones: ReadonlyMap<string, boolean>): Promise<readonly Party[]> {
    const requests = parsedRows(authorityRequest, await store.scan({ kind: 'AuthorityRequest', mesh }))
    const answers = parsedRows(
      authorityCertificate,
      await store.scan({ kind: 'AuthorityCertificate', mesh, origin: deps.origin }),
    )
    const uses = parsedRows(authorityUse, await store.scan({ kind: 'AuthorityUse', mesh }))
    return [...new Set(requests.map(({ key }) => key.origin))].map((zone) => ({
      zone,
      requests: new Map(
        requests
          .filter(({ key }) => key.origin === zone)
          .map(({ spec: { backend, publicKey } }) => [backend, publicKey]),
      ),
      standing: answers.find(({ key }) => key.name === zone)?.spec,
      use: uses.find(({ key }) => key.origin === zone)?.spec,
      counts: zones.get(zone) ?? false,
    }))
  }

  const isLive = ({ standing }: Party): boolean => standing !== undefined && standing.notAfterMs > deps.clock.wallMs()

  /**
   * Whether the zone has reported how its proxies use the present answer. Then no proxy still receives an older one.
   */
  const hasReported = ({ use, standing }: Party): boolean => use?.generation === (standing?.generation ?? 0)

  /** The zones whose proxies do not all trust a root yet. */
  const waitingFor = (parties: readonly Party[], root: Root): readonly string[] =>
    parties
      .filter(
        (party) =>
          party.counts && isLive(party) && !(hasReported(party) && party.use?.trusts.includes(root.fingerprint)),
      )
      .map(({ zone }) => zone)

  /**
   * The former roots that a proxy may still show. If a zone has not reported yet, these are all roots of its answer.
   */
  function rootsInUse(
    parties: readonly Party[],
    former: readonly Root[],
    signers: ReadonlyMap<string, Root | undefined>,
  ) {
    const counting = parties.filter((party) => party.counts)
    const live = counting.filter(isLive)
    const shown = new Set([
      ...counting.flatMap((party) => party.use?.shows ?? []),
      ...live.flatMap((party) => signers.get(party.zone)?.fingerprint ?? []),
    ])
    const silent = live.filter((party) => !hasReported(party))
    return former.filter(
      ({ fingerprint, certificates }) =>
        shown.has(fingerprint) || silent.some(({ standing }) => standing?.roots.includes(certificates[0] ?? '')),
    )
  }

  function setWaitReason(mesh: string, text: string | undefined): void {
    if (waitReasons.get(mesh) === text) return
    if (text === undefined) waitReasons.delete(mesh)
    else {
      waitReasons.set(mesh, text)
      log.info({ mesh }, text)
    }
  }

  function choose(
    party: Party,
    target: Root | undefined,
    signer: Root | undefined,
    mayMove: boolean,
  ): Choice | undefined {
    const { requests, standing } = party
    const requested = target && requests.get(target.backend)
    if (target && requested !== undefined && (!signer || signer.fingerprint === target.fingerprint || mayMove))
      return { root: target, backend: target.backend, publicKey: requested }
    if (!signer || !standing) return undefined
    // A zone that has lost its key requests a certificate for a new one. It is answered even while a rotation waits.
    if ([...requests.values()].includes(standing.publicKey))
      return { root: signer, backend: standing.backend, publicKey: standing.publicKey }
    return requested === undefined || target === undefined
      ? undefined
      : { root: signer, backend: target.backend, publicKey: requested }
  }

  /** Answers a zone, unless its present answer is the same and has more than half of its life left. */
  async function answer(mesh: string, party: Party, choice: Choice, signer: Root | undefined, bundle: string) {
    const { zone, standing } = party
    const { root, backend, publicKey } = choice
    const nowMs = deps.clock.wallMs()
    const isGood =
      standing?.publicKey === publicKey &&
      standing.backend === backend &&
      signer?.fingerprint === root.fingerprint &&
      standing.notAfterMs - nowMs > halfLifeMs &&
      // A start in the future means that the clock of this plane was ahead when it signed.
      startOf(standing.certificate) <= nowMs
    if (isGood && standing.roots === bundle) return
    const life = lifetime(nowMs, intermediateDays)
    const key = root.key
    if (!isGood && key === undefined) return
    const { certificate, notAfterMs } =
      isGood || key === undefined
        ? { certificate: standing?.certificate ?? '', notAfterMs: standing?.notAfterMs ?? 0 }
        : {
            notAfterMs: life.notAfterMs,
            certificate: await signIntermediate(
              { certificate: root.certificates[0] ?? '', key },
              publicKey,
              `${mesh} in ${zone}`,
              life,
              `spiffe://${mesh}`,
            ),
          }
    const generation = (standing?.generation ?? 0) + 1
    const answered = { zone, backend, publicKey, certificate, notAfterMs, generation, roots: bundle }
    const spec = answered satisfies AuthorityCertificateSpec
    await deps.commit({
      changes: [
        {
          op: 'put',
          key: { origin: deps.origin, kind: 'AuthorityCertificate', mesh, name: zone },
          labels: {},
          spec,
        },
      ],
      subject: 'mesh-system:control-plane',
      intent: `issue the intermediate authority of mesh ${mesh} for zone ${zone}`,
    })
  }

  async function reconcileMesh(mesh: string, spec: MeshSpec, zones: ReadonlyMap<string, boolean>): Promise<void> {
    const enabled = enabledBackend(spec)
    if (!enabled) return setWaitReason(mesh, undefined)
    const { byBackend, former } = await roots.of(mesh, spec)
    const allRoots = [...byBackend.values(), ...former]
    const parties = await partiesOf(mesh, zones)
    const signers = new Map(parties.map((party) => [party.zone, signerOf(mesh, party, allRoots)]))
    const kept = rootsInUse(parties, former, signers)
    const trusted = [...byBackend.values(), ...kept]
    const bundle = [...new Set(trusted.flatMap(({ certificates }) => certificates))].sort().join('')
    const target = byBackend.get(enabled.name)
    const waiting = target ? waitingFor(parties, target) : []
    for (const party of parties) {
      const signer = isLive(party) ? signers.get(party.zone) : undefined
      const choice = choose(party, target, signer, waiting.length === 0)
      if (choice) await answer(mesh, party, choice, signer, bundle)
    }
    setWaitReason(
      mesh,
      waiting.length > 0
        ? `the authority "${enabled.name}" signs when all proxies trust it: it waits for zone ${waiting.join(', zone ')}`
        : undefined,
    )
    const gone = former.filter((root) => !kept.includes(root)).map(({ fingerprint }) => fingerprint)
    if (gone.length > 0) await roots.forget(mesh, new Set(gone))
  }

  return {
    /** The waiting rotations, with the reason. */
    waits: (): readonly { readonly mesh: string; readonly reason: string }[] =>
      [...waitReasons].map(([mesh, reason]) => ({ mesh, reason })),
    /**
     * Brings roots and intermediates up to date with the meshes and requests in the store. A bad mesh affects only
     * itself.
     */
    async reconcile(): Promise<void> {
      const meshes = await store.scan({ kind: 'Mesh', origin: deps.origin })
      const zones = new Map(
        parsedRows(zoneKind, await store.scan({ kind: 'Zone', origin: deps.origin })).map(({ key, spec }) => [
          key.name,
          isEnabled(spec),
        ]),
      )
      const names = new Set(meshes.map(({ key }) => key.name))
      for (const mesh of [...waitReasons.keys()].filter((name) => !names.has(name))) setWaitReason(mesh, undefined)
      // A mesh whose row cannot be parsed keeps its roots and answers.
      for (const mesh of parsedRows(meshKind, meshes)) {
        try {
          await reconcileMesh(mesh.key.name, mesh.spec, zones)
        } catch (thrown) {
          log.error({ mesh: mesh.key.name, reason: messageOf(thrown) }, 'cannot update the authority of a mesh')
        }
      }
    },
  }
}
export type AuthorityOwner = ReturnType<typeof createAuthorityOwner>
